// Which instruction set runs: the best that the processor has, or the one ATTAR_ISA names.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace attar {

// Names of the instruction sets that were compiled in and that this processor can run, best first.
std::vector<std::string> available_isas();

// The table in use. Throws std::runtime_error where ATTAR_ISA names none of the available ones
// or the processor has none of those compiled in.
const Kernels& kernels();

}  // namespace attar
