#include "quern/core/random.hpp"

#include <random>

namespace quern::inline v1 {

std::uint64_t Random::entropy() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | std::uint64_t{device()};
}

}  // namespace quern::inline v1
