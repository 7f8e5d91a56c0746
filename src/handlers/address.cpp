#include "quern/handlers/detail/address.hpp"

#include <algorithm>

namespace quern::inline v1::detail {
namespace {

struct V4Block {
  std::uint32_t network;
  int bits;
};

// The blocks of IANA's special-purpose registry that are not global unicast, with multicast and reserved
// space.
constexpr V4Block special_v4[] = {
    {0x00000000, 8},   // 0.0.0.0/8        this network
    {0x0A000000, 8},   // 10.0.0.0/8       private
    {0x64400000, 10},  // 100.64.0.0/10    shared by carriers
    {0x7F000000, 8},   // 127.0.0.0/8      loopback
    {0xA9FE0000, 16},  // 169.254.0.0/16   link-local, clouds' metadata services
    {0xAC100000, 12},  // 172.16.0.0/12    private
    {0xC0000000, 24},  // 192.0.0.0/24     protocol assignments
    {0xC0000200, 24},  // 192.0.2.0/24     documentation
    {0xC0586300, 24},  // 192.88.99.0/24   6to4 relays
    {0xC0A80000, 16},  // 192.168.0.0/16   private
    {0xC6120000, 15},  // 198.18.0.0/15    benchmarking
    {0xC6336400, 24},  // 198.51.100.0/24  documentation
    {0xCB007100, 24},  // 203.0.113.0/24   documentation
    {0xE0000000, 3},   // 224.0.0.0/3      multicast, reserved, broadcast
};

struct V6Block {
  std::array<std::uint8_t, 6> prefix;
  int bits;
};

// Exceptions inside 2000::/3. Outside it nothing is public: loopback, unspecified, v4-mapped, NAT64, unique
// local, link-local, site-local and multicast addresses all lie there.
constexpr V6Block special_v6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},  // 2001::/23      protocol assignments, Teredo in 2001::/32
    {{0x20, 0x01, 0x0D, 0xB8}, 32},  // 2001:db8::/32  documentation
    {{0x20, 0x02}, 16},              // 2002::/16      6to4
    {{0x3F, 0xFF, 0x00}, 20},        // 3fff::/20      documentation
};

bool starts_with(std::span<const std::uint8_t, 16> address, const V6Block& block) {
  for (int bit = 0; bit < block.bits; ++bit) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((address[at] & mask) != (block.prefix[at] & mask)) return false;
  }
  return true;
}

}  // namespace

bool is_public_v4(std::span<const std::uint8_t, 4> a) noexcept {
  const std::uint32_t address =
      std::uint32_t{a[0]} << 24 | std::uint32_t{a[1]} << 16 | std::uint32_t{a[2]} << 8 | a[3];
  return std::ranges::none_of(special_v4, [&](const V4Block& block) {
    const std::uint32_t mask = ~std::uint32_t{0} << (32 - block.bits);
    return (address & mask) == block.network;
  });
}

bool is_public_v6(std::span<const std::uint8_t, 16> address) noexcept {
  if ((address[0] & 0xE0) != 0x20) return false;
  return std::ranges::none_of(special_v6, [&](const V6Block& block) { return starts_with(address, block); });
}

}  // namespace quern::inline v1::detail
