#include "core/byte_sink.hpp"

#include <algorithm>

namespace quern::inline v1::detail {

void ByteSink::grow(std::size_t bytes) {
  const std::size_t used = size();
  const std::size_t wanted = std::max(used + bytes, 2 * static_cast<std::size_t>(end_ - begin()));
  if (large_.empty()) large_.assign(small_, used);
  large_.resize(wanted);
  at_ = large_.data() + used;
  end_ = large_.data() + large_.size();
}

}  // namespace quern::inline v1::detail
