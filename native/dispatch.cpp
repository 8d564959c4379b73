#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>

#include "isas.h"  // written by CMake: which instruction sets were compiled in

namespace attar {

#define ATTAR_DECLARE(isa)        \
    namespace isa {               \
    extern const Kernels kernels; \
    }
ATTAR_ISAS(ATTAR_DECLARE)

namespace {

#if defined(__x86_64__)
bool supports_x86_64_v2() {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}
bool supports_x86_64_v3() {
    return supports_x86_64_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool supports_x86_64_v4() {
    return supports_x86_64_v3() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
[[maybe_unused]] bool supports_aarch64() { return true; }
[[maybe_unused]] bool supports_generic() { return true; }
#endif

struct Candidate {
    const Kernels* kernels;
    bool (*supported)();
};

// Best first, as CMake lists them.
#define ATTAR_CANDIDATE(isa) Candidate{&isa::kernels, supports_##isa},
const Candidate candidates[] = {ATTAR_ISAS(ATTAR_CANDIDATE)};

const Kernels& choose() {
    const char* wanted = std::getenv("ATTAR_ISA");
    std::string names;
    for (const Candidate& candidate : candidates) {
        if (!candidate.supported()) continue;
        const std::string name = candidate.kernels->isa;
        if (!wanted || !*wanted || name == wanted) return *candidate.kernels;
        names += (names.empty() ? "" : ", ") + name;
    }
    if (names.empty())
        throw std::runtime_error(
            "attar: this processor has none of the instruction sets that attar was built for");
    throw std::runtime_error("attar: ATTAR_ISA=" + std::string(wanted) +
                             " is not available here; available: " + names);
}

}  // namespace

std::vector<std::string> available_isas() {
    std::vector<std::string> names;
    for (const Candidate& candidate : candidates)
        if (candidate.supported()) names.emplace_back(candidate.kernels->isa);
    return names;
}

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

}  // namespace attar
