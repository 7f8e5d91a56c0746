#include "quern/core/payload.hpp"

#include <memory>
#include <nlohmann/json.hpp>

namespace quern::inline v1 {

static_assert(sizeof(Payload) <= 48);
static_assert(std::is_nothrow_move_constructible_v<Payload> && std::is_nothrow_move_assignable_v<Payload>);

std::string detail::dump_json(const nlohmann::json& json) { return json.dump(); }
template <>
nlohmann::json detail::parse_json<nlohmann::json>(const std::string& text) {
  return nlohmann::json::parse(text);
}
void detail::refuse_payload(const char* problem, const char* reason) {
  throw InvalidArgument("payload", std::string(problem) + reason);
}

Payload& Payload::operator=(const Payload& other) {
  if (this != &other) *this = Payload(other);
  return *this;
}
Payload& Payload::operator=(Payload&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = std::move(other.bytes_);
  codec_ = std::exchange(other.codec_, nullptr);
  if (const std::string* const old = release_text()) drop(old);
  text_.store(other.release_text(), std::memory_order_relaxed);
  return *this;
}

// Not in the header: with the move inlined, g++ 12 warns falsely (-Warray-bounds) of long string constants.
Payload Payload::json(std::string text) { return Payload(Raw{}, std::move(text)); }

Payload Payload::from_bytes(std::string_view bytes, const detail::PayloadCodec* codec) {
  return Payload(Raw{}, std::string(bytes), codec);
}

Payload Payload::pack(const detail::PayloadCodec& codec, const void* value) {
  return Payload(Raw{}, detail::pack(codec, value), &codec);
}

void Payload::read(const detail::PayloadCodec& codec, void* value) const {
  if (codec_ == &codec)
    detail::unpack(codec, bytes_, value);
  else
    detail::read_json(codec, text(), value);
}

std::string Payload::text() && {
  if (codec_ == nullptr) return std::move(bytes_);
  const std::string* const made = text_.load(std::memory_order_acquire);
  return made != nullptr ? *made : detail::json_of_packed(*codec_, bytes_);
}

const std::string& Payload::made_text() const {
  const std::string* there = text_.load(std::memory_order_acquire);
  if (there != nullptr) return *there;
  auto made = std::make_unique<const std::string>(detail::json_of_packed(*codec_, bytes_));
  // Another thread may have been first; then its text is the one that was given away.
  if (text_.compare_exchange_strong(there, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
    there = made.release();
  return *there;
}

void Payload::drop(const std::string* text) noexcept { delete text; }

bool operator==(const Payload& a, const Payload& b) {
  if (a.codec_ == b.codec_ && a.bytes_ == b.bytes_) return true;
  return a.text() == b.text();
}

}  // namespace quern::inline v1
