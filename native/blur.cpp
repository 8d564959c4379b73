#include "operations.h"

namespace attar::ATTAR_ISA {

void blur(Number, const AnyInput&, const AnyOutput&, const Blur&) {}
void blur_grad(Number, const AnyInput&, const AnyOutput&, const Blur&) {}

}  // namespace attar::ATTAR_ISA
