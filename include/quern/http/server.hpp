#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/log.hpp"
#include "quern/http/message.hpp"

namespace quern::inline v1::http {

/// How much a server takes; what is above is refused before it is kept.
struct ServerLimits {
  std::size_t head_bytes = std::size_t{16} << 10U;   ///< Request line and header together; above: 431.
  std::size_t fields = 100;                          ///< Header fields; above: 431.
  std::size_t target_bytes = std::size_t{8} << 10U;  ///< Path and query; above: 414. At most `head_bytes`.
  std::size_t body_bytes = std::size_t{1} << 20U;    ///< Above: 413. Raise it with the largest batch of jobs.
  std::size_t connections = 1000;                    ///< Open at once; further ones are closed as they come.
  /// Of one address. Loopback is an address like any other: behind a proxy on the same machine, raise it.
  std::size_t connections_per_peer = 100;
  /// Requests that wait for a handler thread; above: 503.
  std::size_t waiting_requests = 256;
};

/// How long a server waits for its peers. A connection that takes longer is closed; other ones are served meanwhile.
struct ServerTimeouts {
  std::chrono::milliseconds handshake{10'000};  ///< Of TLS.
  std::chrono::milliseconds head{
      10'000};  ///< From a request's first byte (the first one's: from the connection) to its header's end.
  /// In each such time `body_rate` bytes a second must come, until the body is complete.
  std::chrono::milliseconds body{10'000};
  std::size_t body_rate = 1000;            ///< Bytes a second.
  std::chrono::milliseconds idle{60'000};  ///< Between two requests of a connection.
  std::chrono::milliseconds write{
      30'000};  ///< For each 64 KiB of an answer, and each piece of a stream, to be taken.
  /// A comment line is sent on server-sent events of which there are none for so long. Below what proxies in between allow.
  std::chrono::milliseconds heartbeat{15'000};
  /// What `stop` gives requests under way.
  std::chrono::milliseconds grace{10'000};
};

/// Files in PEM, read by each `start`.
struct ServerTls {
  std::filesystem::path certificate{};  ///< With the intermediate ones, the server's own first.
  std::filesystem::path key{};          ///< Without a pass phrase.
  /// Given: only clients with a certificate of this authority are served.
  std::filesystem::path client_ca{};
};

/// Where and how a server listens.
struct ServerOptions {
  /// IPv4 or IPv6, or "localhost". "0.0.0.0" and "::" are all addresses.
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: any that is free; `Server::port` says which.
  /// Whether the handler lets nobody in whom it does not know. Said by who mounts it; without it the server stays on loopback.
  bool authenticated = false;
  /// Listen elsewhere than on loopback even so: everybody who reaches the address may do everything.
  bool allow_unauthenticated_remote = false;
  /// Names under which browsers may ask, without a port; any other Host is refused, for a web page elsewhere can have its name lead
  /// here. Loopback's names are always among them; on an address that is not loopback, all addresses are. "*": any.
  std::vector<std::string> hosts{};
  std::optional<ServerTls> tls{};
  int io_threads = 1;       ///< 1 to 64. One is enough for tens of thousands of requests a second.
  int handler_threads = 4;  ///< 1 to 1024. As many requests are worked on at once.
  ServerLimits limits{};
  ServerTimeouts timeouts{};
  Logger log{};
  /// Told of what went wrong on this side: a handler that threw, a connection that could not be accepted. Called from the server's
  /// threads, several at once; what it throws is dropped.
  std::function<void(std::string_view what)> on_error{};

  /// Throws ConfigError with all faults.
  void check() const;
};

/// What a server does at present, and has done since its start.
struct ServerCounts {
  std::size_t connections = 0;    ///< Open.
  std::size_t streams = 0;        ///< Of them, with a ResponseStream.
  std::size_t waiting = 0;        ///< Requests that wait for a handler thread.
  std::uint64_t requests = 0;     ///< Given to the handler.
  std::uint64_t refused = 0;      ///< Answered by the server itself: 4xx, 501, 503.
  std::uint64_t turned_away = 0;  ///< Connections above a limit.
};

namespace detail {
class ServerCore;
}

/// An HTTP/1.1 and 1.0 server inside the process, with TLS where it is given a certificate.
///
///     quern::http::Server server([&](quern::http::Request& request) { return router.handle(request); });
///     server.start();
///     std::cout << server.url();
///
/// Framing  whatever could be read in two ways is refused with 400, and the connection closed: one answer for each request.
/// Threads  connections cost no thread. Handlers run on a pool of their own and may block; several at once. A ResponseStream is read
///          on the threads of the connections, and must not block.
/// Errors   the server's own answers are problem details; a handler that throws gives 500 without a word about what it was.
/// Time     Request::received and the field Date are the clock's; timeouts of connections go by the machine's.
class Server {
 public:
  /// May change the request, as the router does.
  using Handler = std::function<Response(Request&)>;

  /// Throws ConfigError with all that is wrong with the options, InvalidArgument without a handler. The clock must outlive the server.
  explicit Server(Handler handler, ServerOptions options = {}, ClockRef clock = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Listens, and returns when connections can be made. Nothing when it does already; may be called again after `stop`. Throws Error
  /// where it can't listen (the port is taken), ConfigError where the certificate can't be used.
  void start();

  /// Takes no more connections, answers the requests under way (for `timeouts.grace`), ends the streams, closes everything. Waits for
  /// handlers that run, however long they take: none runs after it has returned. Harmless when there is nothing to stop. Not
  /// to be called from a handler.
  void stop() noexcept;

  [[nodiscard]] bool running() const;
  /// 0 when it does not run.
  [[nodiscard]] std::uint16_t port() const;
  /// "http://127.0.0.1:8080", without a slash at the end; empty when it does not run.
  [[nodiscard]] std::string url() const;
  [[nodiscard]] ServerCounts counts() const;

 private:
  const Handler handler_;
  const ServerOptions options_;
  const ClockRef clock_;
  std::mutex changing_;  // held by a start or a stop
  mutable std::mutex mutex_;
  std::shared_ptr<detail::ServerCore> core_;
};

}  // namespace quern::inline v1::http
