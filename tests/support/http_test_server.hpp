#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace quern_test {

/// A request as the server saw it.
struct ServedRequest {
  std::string method{};
  std::string target{};                          ///< Path and query, as sent.
  std::string path{};                            ///< Without the query.
  std::map<std::string, std::string> query{};    ///< Decoded.
  std::map<std::string, std::string> headers{};  ///< Names in lower case.
  std::string body{};

  /// A header's value; empty when there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// What the server does with a request.
struct Reply {
  enum class Fault {
    none,
    drop,      ///< Closes the connection without a byte.
    truncate,  ///< Promises the whole body, sends half of it, closes.
    hang,      ///< Never answers; the connection stays open until the client or the server goes.
    stall,     ///< Sends the header and half of the body, then hangs.
  };

  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  Fault fault = Fault::none;
  bool chunked = false;  ///< Sends the body in chunks, without a length.
  std::vector<std::pair<std::string, std::string>> trailers{};  ///< After a chunked body.

  [[nodiscard]] static Reply json(int status, std::string body) {
    return {.status = status,
            .headers = {{"Content-Type", "application/json; charset=utf-8"}},
            .body = std::move(body)};
  }
};

/// A small HTTP/1.1 server on loopback, on a port of the system's choice, with threads of its own. For tests:
/// it trusts its clients. Handlers run on those threads, one at a time.
class HttpTestServer {
 public:
  using Handler = std::function<Reply(const ServedRequest& request)>;

  explicit HttpTestServer(Handler handler);
  ~HttpTestServer();
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;

  /// "http://127.0.0.1:PORT", without a slash at the end.
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// The next `times` requests whose target contains `part` get this reply instead of the handler's.
  void inject(const std::string& part, Reply reply, int times = 1);
  /// Everything that was asked so far, in order, also what was answered by an injected reply.
  [[nodiscard]] std::vector<ServedRequest> log() const;
  void forget_log();

 private:
  struct Injection {
    std::string part;
    Reply reply;
    int times;
  };

  void accept_all();
  void serve(int connection);
  bool read_request(int connection, std::string& buffer, ServedRequest& request);
  bool answer(int connection, const Reply& reply, bool head);
  void hang(int connection);
  Reply reply_to(const ServedRequest& request);

  Handler handler_;
  int listener_ = -1;
  int wake_read_ = -1;  // Readable once the server stops.
  int wake_write_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<ServedRequest> log_;
  std::list<Injection> injections_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

/// "a%20b+c" as "a b c".
[[nodiscard]] std::string decode_query(const std::string& text);

}  // namespace quern_test
