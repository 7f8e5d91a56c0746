#include "quern/core/payload.hpp"

namespace quern::inline v1 {

// Not in the header: with the move inlined, g++ 12 warns falsely (-Warray-bounds) of long string constants.
Payload Payload::json(std::string text) { return Payload(Raw{}, std::move(text)); }

}  // namespace quern::inline v1
