#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace quern::inline v1::detail {

/// Whether an IPv4 address, in network order, is public unicast: no private, loopback, link-local, shared,
/// documentation, benchmarking, multicast or reserved one.
[[nodiscard]] bool is_public_v4(std::span<const std::uint8_t, 4> address) noexcept;

/// The same for IPv6: inside 2000::/3, and none of the ranges that tunnel or translate to IPv4 (an IPv4
/// address in it could be any), nor documentation.
[[nodiscard]] bool is_public_v6(std::span<const std::uint8_t, 16> address) noexcept;

}  // namespace quern::inline v1::detail
