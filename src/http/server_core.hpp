#pragma once

#include <cstdint>
#include <memory>

#include "quern/http/server.hpp"

namespace quern::inline v1::http::detail {

/// What runs between a start and a stop; the only part of the server that knows of sockets.
class ServerCore {
 public:
  ServerCore() = default;
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;
  virtual ~ServerCore() = default;

  [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;
  [[nodiscard]] virtual ServerCounts counts() const = 0;
  /// Called once; nothing of it runs any more afterwards.
  virtual void stop() noexcept = 0;
};

/// Listens. What is handed in must outlive it. Throws as Server::start.
[[nodiscard]] std::unique_ptr<ServerCore> listen(const Server::Handler& handler, const ServerOptions& options,
                                                 ClockRef clock);

}  // namespace quern::inline v1::http::detail
