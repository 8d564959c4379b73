#include "operations.h"

namespace attar::ATTAR_ISA {

void max_pool_grad(Number, const AnyInput&, const AnyInput&, int, const AnyOutput&, const Pool&) {}
void sum_pool_grad(Number, const AnyInput&, const AnyOutput&, const Pool&) {}

}  // namespace attar::ATTAR_ISA
