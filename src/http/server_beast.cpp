// The one file that includes Boost: connections and the listener. What can be said without a socket is elsewhere.
#include <utility>  // Asio 1.74 forgets it

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <condition_variable>
#include <map>
#include <optional>
#include <thread>

#include "http/handler_pool.hpp"
#include "http/request_head.hpp"
#include "http/response_text.hpp"
#include "http/server_core.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
using net::ip::tcp;
using Code = boost::system::error_code;
using std::chrono::milliseconds;

constexpr std::size_t read_piece = std::size_t{16} << 10U;
constexpr std::size_t write_piece = std::size_t{64} << 10U;
constexpr std::size_t stream_piece = std::size_t{16} << 10U;
/// What a peer that was refused, or whose stream goes on, may send without being listened to.
constexpr std::size_t ignored_most = std::size_t{1} << 20U;
/// How long a connection stays for the peer to read the last answer: closed at once, what it still sends would take that away from it.
constexpr milliseconds linger_time{2000};
/// The same for a server that stops, which has somebody waiting.
constexpr milliseconds stop_linger_time{200};
/// Before connections are accepted again, when there was no room for one.
constexpr milliseconds accept_pause{100};

class Connection;

/// The listener, its threads and the connections.
class BeastServer final : public ServerCore {
 public:
  BeastServer(const Server::Handler& handler, const ServerOptions& options, ClockRef clock);
  ~BeastServer() override { stop(); }

  [[nodiscard]] std::uint16_t port() const noexcept override { return port_; }
  [[nodiscard]] ServerCounts counts() const override;
  void stop() noexcept override;

  // For connections.

  /// Any thread; never throws: what the handler throws becomes an answer.
  [[nodiscard]] Response call(Request& request) noexcept;
  void remove(const Connection* connection, const std::string& peer) noexcept;
  void report(std::string_view what) const noexcept;
  void debug(std::string_view message, int status, const std::string& peer) const noexcept;

  const Server::Handler& handler;
  const ServerOptions& options;
  const ClockRef clock;
  const HostRule hosts;
  std::optional<net::ssl::context> tls;
  std::atomic<bool> stopping = false;
  std::atomic<std::size_t> streams = 0;
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> refused = 0;

 private:
  void open();
  void accept();
  void on_accept(const Code& failed, tcp::socket socket);
  void admit(tcp::socket socket);
  void each_connection(void (Connection::*what)());
  bool all_gone_within(milliseconds longest);
  void run() noexcept;

  std::atomic<std::uint64_t> turned_away_ = 0;
  std::uint16_t port_ = 0;
  SteadyTime warned_{0};  // of connections turned away; the acceptor's alone
  bool has_warned_ = false;
  mutable std::mutex mutex_;
  std::condition_variable gone_;
  std::map<const Connection*, std::shared_ptr<Connection>> connections_;
  std::map<std::string, std::size_t> per_peer_;
  bool stopped_ = false;

  net::io_context io_;
  net::executor_work_guard<net::io_context::executor_type> work_{io_.get_executor()};
  tcp::acceptor acceptor_{net::make_strand(io_)};
  net::steady_timer accept_timer_{acceptor_.get_executor()};
  std::vector<std::jthread> threads_;

 public:
  // Ends first, and with it the handlers, which know of connections.
  std::optional<HandlerPool> pool;
};

/// One connection. All of it runs on its strand but `call`, which a handler thread runs.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(BeastServer& server, tcp::socket socket, std::string peer)
      : server_(server), socket_(std::move(socket)), timer_(socket_.get_executor()), peer_(std::move(peer)) {
    if (server_.tls) tls_.emplace(socket_, *server_.tls);
  }

  void start() {
    net::post(socket_.get_executor(), [self = shared_from_this()] { self->begin(); });
  }
  /// The server stops: closes if nothing is under way, else after the answer.
  void drain() {
    net::post(socket_.get_executor(), [self = shared_from_this()] { self->on_drain(); });
  }
  /// The server stops, and has waited long enough.
  void abandon() {
    net::post(socket_.get_executor(), [self = shared_from_this()] { self->close(); });
  }

 private:
  enum class State : std::uint8_t { handshake, head, body, working, answering, streaming, ending, closed };
  using Parser = beast::http::request_parser<beast::http::string_body>;
  using Then = void (Connection::*)();

  void begin();
  void receive();
  void on_received(const Code& failed, std::size_t bytes);
  void next_request();
  void take_head(std::size_t length);
  void begin_body();
  void read_body();
  void give_to_handler();
  void answer(Response response);
  void refuse(const Problem& problem);
  void write_some(Then then);
  void on_answered();
  void start_stream();
  void pump();
  void send_piece(std::string piece, Then then);
  void end_stream();
  void forget_stream() noexcept;
  void end();
  void close() noexcept;
  void on_drain();
  void on_deadline();
  void arm(milliseconds longest);
  void disarm() { ++armed_; }
  /// Runs `what`; a connection in which something throws (memory runs out) is closed, and the others go on.
  template <class What>
  void guarded(const What& what) noexcept;

  BeastServer& server_;
  tcp::socket socket_;
  std::optional<net::ssl::stream<tcp::socket&>> tls_;
  net::steady_timer timer_;
  const std::string peer_;
  State state_ = State::handshake;
  std::uint64_t armed_ = 0;  // which wait of the timer counts

  std::string in_;  // received, and not yet understood
  std::string tls_in_;
  bool receiving_ = false;
  bool peer_ended_ = false;
  std::size_t ignored_ = 0;
  HeadScan scan_{};
  bool head_begun_ = false;  // its time runs
  bool forgave_line_ = false;
  std::uint64_t served_ = 0;
  std::optional<Parser> parser_;
  RequestHead head_{};
  bool whole_request_ = false;   // nothing of it is still to come
  std::size_t body_bytes_ = 0;   // received, with their framing
  std::size_t body_window_ = 0;  // of them, in the present window

  std::string out_head_;
  std::string out_body_;
  std::size_t out_at_ = 0;  // of the body: what has been written
  std::string out_piece_;   // the one that is being written
  bool keep_alive_ = false;
  std::shared_ptr<ResponseStream> stream_{};
  bool stream_started_ = false;
  bool stream_chunked_ = false;
  bool stream_of_events_ = false;
  bool stream_ends_ = false;
  bool event_open_ = false;  // no comment may come in between now
  bool writing_ = false;
  std::atomic<bool> woken_ = false;
};

template <class What>
void Connection::guarded(const What& what) noexcept {
  try {
    what();
  } catch (const std::exception& error) {
    server_.report(error.what());
    close();
  } catch (...) {
    server_.report("something that is not a std::exception was thrown in a connection");
    close();
  }
}

void Connection::begin() {
  guarded([&] {
    if (state_ == State::closed) return;
    Code gone;  // then the first read says so
    socket_.non_blocking(true, gone);
    socket_.set_option(tcp::no_delay(true), gone);
    if (!tls_) {
      state_ = State::head;
      next_request();
      return;
    }
    arm(server_.options.timeouts.handshake);
    tls_->async_handshake(net::ssl::stream_base::server, [self = shared_from_this()](const Code& failed) {
      self->guarded([&] {
        if (self->state_ != State::handshake) return;
        if (failed) return self->close();
        self->state_ = State::head;
        self->next_request();
      });
    });
  });
}

void Connection::arm(milliseconds longest) {
  timer_.expires_after(longest);
  timer_.async_wait([self = shared_from_this(), armed = ++armed_](const Code& failed) {
    if (failed || armed != self->armed_ || self->state_ == State::closed) return;
    self->guarded([&] { self->on_deadline(); });
  });
}

/// One at a time; what comes is for whatever state the connection is in by then.
void Connection::receive() {
  if (receiving_ || peer_ended_) return;
  receiving_ = true;
  if (tls_) {
    tls_in_.resize(read_piece);
    tls_->async_read_some(net::buffer(tls_in_),
                          [self = shared_from_this()](const Code& failed, std::size_t bytes) {
                            self->receiving_ = false;
                            self->guarded([&] {
                              self->in_.append(self->tls_in_, 0, bytes);
                              self->on_received(failed, bytes);
                            });
                          });
    return;
  }
  // Only when there is something to read it gets a buffer, so that a connection that waits needs none.
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](Code failed) {
    self->receiving_ = false;
    if (self->state_ == State::closed) return;
    self->guarded([&] {
      std::array<char, read_piece> piece;
      std::size_t bytes = 0;
      if (!failed) bytes = self->socket_.read_some(net::buffer(piece), failed);
      if (failed == net::error::would_block) return self->receive();
      self->in_.append(piece.data(), bytes);
      self->on_received(failed, bytes);
    });
  });
}

void Connection::on_received(const Code& failed, std::size_t bytes) {
  if (state_ == State::closed) return;
  if (failed) peer_ended_ = true;
  switch (state_) {
    case State::head:
      return failed ? close() : next_request();
    case State::body:
      body_bytes_ += bytes;
      body_window_ += bytes;
      return failed ? close() : read_body();
    case State::ending:
      if (tls_ && whole_request_) return end();
      [[fallthrough]];
    case State::streaming:
      ignored_ += in_.size();
      in_.clear();
      return failed || ignored_ > ignored_most ? close() : receive();
    default:
      return;  // an answer is on its way; it goes on afterwards
  }
}

void Connection::next_request() {
  const ServerLimits& limits = server_.options.limits;
  try {
    // One empty line before a request is forgiven (RFC 9112 2.2).
    if (!forgave_line_ && in_.starts_with("\r\n")) {
      in_.erase(0, 2);
      forgave_line_ = true;
    }
    const std::size_t length = in_ == "\r" ? std::string::npos : scan_.find(in_);
    if (length != std::string::npos && length <= limits.head_bytes) return take_head(length);
    if (in_.size() > limits.head_bytes) {
      throw in_.substr(0, limits.head_bytes).find('\n') == std::string::npos
          ? target_too_long(limits.target_bytes)
          : head_too_large(limits.head_bytes);
    }
  } catch (const Problem& problem) {
    return refuse(problem);
  }
  if (in_.empty() && server_.stopping) return close();
  if (in_.empty() && served_ > 0) {
    std::string().swap(in_);
    arm(server_.options.timeouts.idle);
  } else if (!head_begun_) {
    head_begun_ = !in_.empty();
    arm(server_.options.timeouts.head);
  }
  receive();
}

void Connection::take_head(std::size_t length) {
  disarm();
  scan_ = {};
  head_begun_ = forgave_line_ = false;
  whole_request_ = false;
  parser_.emplace();
  // The limit is ours already; Beast counts to its own only to be on the safe side.
  parser_->header_limit(static_cast<std::uint32_t>(length + 1));
  parser_->body_limit(server_.options.limits.body_bytes);
  Code failed;
  parser_->put(net::buffer(in_.data(), length), failed);
  in_.erase(0, length);
  if (failed == beast::http::error::body_limit) throw too_large(server_.options.limits.body_bytes);
  if (failed || !parser_->is_header_done())
    throw Problem::malformed("the request line or the header is malformed");

  // Taken before the body is read: Beast adds what follows a chunked body (trailers) to the fields, and those nobody has judged.
  const auto& parsed = parser_->get();
  ParsedHead head{.method = std::string(parsed.method_string()),
                  .target = std::string(parsed.target()),
                  .http11 = parsed.version() == 11};
  for (const auto& field : parsed)
    head.fields.push_back({std::string(field.name_string()), std::string(field.value())});
  // An answer to a refused request needs to know as much.
  head_.request.method = method_of(head.method).value_or(Method::get);
  head_.http11 = head.http11;
  head_ = read_head(std::move(head), server_.options.limits, server_.hosts);

  if (parser_->is_done()) return give_to_handler();
  if (!head_.expects_continue || !in_.empty()) return begin_body();
  state_ = State::answering;
  out_head_ = "HTTP/1.1 100 Continue\r\n\r\n";
  write_some(&Connection::begin_body);
}

void Connection::begin_body() {
  state_ = State::body;
  body_bytes_ = body_window_ = in_.size();
  arm(server_.options.timeouts.body);
  read_body();
}

void Connection::read_body() {
  const ServerLimits& limits = server_.options.limits;
  try {
    parser_->eager(true);
    std::size_t used = 0;
    while (used < in_.size() && !parser_->is_done()) {
      Code failed;
      used += parser_->put(net::buffer(in_.data() + used, in_.size() - used), failed);
      if (failed == beast::http::error::need_more) break;
      if (failed == beast::http::error::body_limit) throw too_large(limits.body_bytes);
      if (failed) throw Problem::malformed("the body's chunks are malformed");
    }
    in_.erase(0, used);
    if (parser_->is_done()) return give_to_handler();
    // Chunks of nearly nothing but framing would be a way around the limit.
    if (body_bytes_ > limits.head_bytes + 8 * parser_->get().body().size())
      throw Problem::malformed("the body's chunks are nearly all framing");
  } catch (const Problem& problem) {
    return refuse(problem);
  }
  receive();
}

void Connection::give_to_handler() {
  disarm();
  state_ = State::working;
  whole_request_ = true;
  Request& request = head_.request;
  request.body = std::move(parser_->get().body());
  parser_.reset();
  request.peer = peer_;
  request.secure = tls_.has_value();
  request.received = server_.clock.steady();
  if (head_.about_server) {
    Response response{.status = 204};
    response.headers.set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    return answer(std::move(response));
  }
  const bool taken = server_.pool->submit([self = shared_from_this()] {
    Response response = self->server_.call(self->head_.request);
    net::post(self->socket_.get_executor(), [self, response = std::move(response)]() mutable {
      self->guarded([&] { self->answer(std::move(response)); });
    });
  });
  if (taken) {
    ++server_.requests;
    return;
  }
  Problem busy{.status = 503, .name = "busy", .detail = "more requests wait than the server takes"};
  busy.headers.set("Retry-After", "1");
  ++server_.refused;
  server_.debug("a request found no room", busy.status, peer_);
  answer(to_response(busy));
}

void Connection::refuse(const Problem& problem) {
  disarm();
  ++server_.refused;
  server_.debug("a request was refused", problem.status, peer_);
  parser_.reset();
  head_.keep_alive = false;
  whole_request_ = false;
  state_ = State::working;
  answer(to_response(problem));
}

void Connection::answer(Response response) {
  if (state_ != State::working) return;  // it has gone meanwhile
  const bool head = head_.request.method == Method::head;
  if (head) response.stream.reset();
  stream_ = std::move(response.stream);
  keep_alive_ = head_.keep_alive && !stream_ && !server_.stopping;
  stream_chunked_ = stream_ && head_.http11;
  Sending sending{.http11 = head_.http11,
                  .keep_alive = keep_alive_,
                  .head = head,
                  .chunked = stream_chunked_,
                  .now = server_.clock.now()};
  response.stream = stream_;
  try {
    out_head_ = head_text(response, sending);
  } catch (const Error& error) {
    server_.report(error.what());
    stream_.reset();
    response = to_response(Problem{});
    keep_alive_ = sending.keep_alive = false;
    sending.chunked = false;
    out_head_ = head_text(response, sending);
  }
  const auto type = response.headers.find("Content-Type");
  stream_of_events_ = stream_ && type && type->starts_with("text/event-stream");
  out_body_.clear();
  if (!head && !stream_ && has_body(response.status)) out_body_ = std::move(response.body);
  head_ = {};
  state_ = State::answering;
  write_some(stream_ ? &Connection::start_stream : &Connection::on_answered);
}

/// What is left of the answer, a piece at a time, each with its own deadline.
void Connection::write_some(Then then) {
  const std::size_t piece = std::min(write_piece, out_body_.size() - out_at_);
  const std::array<net::const_buffer, 2> buffers{net::buffer(out_head_),
                                                 net::buffer(out_body_.data() + out_at_, piece)};
  arm(server_.options.timeouts.write);
  auto written = [self = shared_from_this(), piece, then](const Code& failed, std::size_t /*bytes*/) {
    self->guarded([&] {
      if (self->state_ == State::closed) return;
      if (failed) return self->close();
      self->out_head_.clear();
      self->out_at_ += piece;
      if (self->out_at_ < self->out_body_.size()) return self->write_some(then);
      std::string().swap(self->out_body_);
      self->out_at_ = 0;
      self->disarm();
      (self.get()->*then)();
    });
  };
  if (tls_)
    net::async_write(*tls_, buffers, std::move(written));
  else
    net::async_write(socket_, buffers, std::move(written));
}

void Connection::on_answered() {
  ++served_;
  if (!keep_alive_ || peer_ended_) return end();
  state_ = State::head;
  next_request();
}

void Connection::start_stream() {
  state_ = State::streaming;
  ++server_.streams;
  stream_started_ = true;
  stream_->start([weak = weak_from_this()] {
    const auto self = weak.lock();
    // One that is on its way is enough, however many events there are.
    if (!self || self->woken_.exchange(true)) return;
    net::post(self->socket_.get_executor(), [self] {
      self->woken_ = false;
      self->guarded([&] { self->pump(); });
    });
  });
  if (server_.stopping) stream_ends_ = true;
  receive();  // the peer has nothing to say, but it can go
  if (state_ == State::streaming && stream_of_events_) arm(server_.options.timeouts.heartbeat);
  pump();
}

void Connection::pump() {
  if (state_ != State::streaming || writing_) return;
  if (stream_ends_) return end_stream();
  std::optional<std::string> piece = stream_->read(stream_piece);
  if (!piece) return end_stream();
  if (piece->empty()) return;
  event_open_ = !piece->ends_with("\n\n");
  send_piece(stream_chunked_ ? chunk_text(*piece) : std::move(*piece), &Connection::pump);
}

void Connection::send_piece(std::string piece, Then then) {
  writing_ = true;
  out_piece_ = std::move(piece);
  arm(server_.options.timeouts.write);
  auto written = [self = shared_from_this(), then](const Code& failed, std::size_t /*bytes*/) {
    self->guarded([&] {
      self->writing_ = false;
      std::string().swap(self->out_piece_);
      if (self->state_ == State::closed) return;
      if (failed) return self->close();
      self->disarm();
      if (self->stream_of_events_ && self->state_ == State::streaming)
        self->arm(self->server_.options.timeouts.heartbeat);
      (self.get()->*then)();
    });
  };
  if (tls_)
    net::async_write(*tls_, net::buffer(out_piece_), std::move(written));
  else
    net::async_write(socket_, net::buffer(out_piece_), std::move(written));
}

void Connection::end_stream() {
  forget_stream();
  if (!stream_chunked_) return end();
  state_ = State::answering;
  send_piece(std::string(last_chunk), &Connection::end);
}

void Connection::forget_stream() noexcept {
  if (!stream_) return;
  if (stream_started_) {
    stream_->stop();
    --server_.streams;
  }
  stream_started_ = false;
  stream_.reset();
}

/// The last answer is out. Waits for the peer to close, which it does once it has read that.
void Connection::end() {
  const bool first = state_ != State::ending;
  state_ = State::ending;
  if (first) arm(server_.stopping ? stop_linger_time : linger_time);
  if (tls_) {
    // Without the rest of its request, which may still come, the end of TLS could not be agreed upon.
    if (!whole_request_ && first) return peer_ended_ ? close() : receive();
    if (receiving_) {
      socket_.cancel();  // goes on here once that is over
      return;
    }
    tls_->async_shutdown([self = shared_from_this()](const Code& /*failed*/) { self->close(); });
    return;
  }
  Code failed;
  socket_.shutdown(tcp::socket::shutdown_send, failed);
  if (failed || peer_ended_) return close();
  ignored_ = 0;
  in_.clear();
  receive();
}

void Connection::close() noexcept {
  if (state_ == State::closed) return;
  state_ = State::closed;
  disarm();
  forget_stream();
  timer_.cancel();
  Code ignored;  // it is given up, whatever the system says to that
  socket_.close(ignored);
  server_.remove(this, peer_);
}

void Connection::on_drain() {
  guarded([&] {
    if (state_ == State::handshake) return close();
    if (state_ == State::head && in_.empty()) return close();
    if (state_ == State::ending) return arm(stop_linger_time);
    if (state_ != State::streaming) return;  // they look by themselves when they are done
    stream_ends_ = true;
    pump();
  });
}

void Connection::on_deadline() {
  const ServerTimeouts& timeouts = server_.options.timeouts;
  switch (state_) {
    case State::head:
      if (in_.empty()) return close();
      return refuse({.status = 408, .name = "timeout", .detail = "the header did not come in time"});
    case State::body: {
      const auto least = static_cast<std::size_t>(static_cast<double>(timeouts.body_rate) *
                                                  std::chrono::duration<double>(timeouts.body).count());
      if (body_window_ < std::max<std::size_t>(least, 1))
        return refuse({.status = 408, .name = "timeout", .detail = "the body came too slowly"});
      body_window_ = 0;
      return arm(timeouts.body);
    }
    case State::streaming:
      if (writing_) return close();
      if (event_open_) return arm(timeouts.heartbeat);
      return send_piece(stream_chunked_ ? chunk_text(":\n\n") : ":\n\n", &Connection::pump);
    default:
      return close();
  }
}

BeastServer::BeastServer(const Server::Handler& handler_in, const ServerOptions& options_in,
                         ClockRef clock_in)
    : handler(handler_in), options(options_in), clock(clock_in), hosts(options_in) {
  open();
}

/// With a certificate, TLS 1.2 or 1.3; never anything older, and nothing that has been found to be unsafe.
std::optional<net::ssl::context> tls_context(const std::optional<ServerTls>& files) {
  if (!files) return std::nullopt;
  std::vector<std::string> faults;
  net::ssl::context context(net::ssl::context::tls_server);
  SSL_CTX* const native = context.native_handle();
  const auto check = [&](std::string_view field, const std::filesystem::path& file, const Code& failed) {
    if (failed)
      faults.push_back(fmt::format("{}: {} can't be used: {}", field, file.string(), failed.message()));
  };
  Code failed;
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native,
                      SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");
  // A client that offers HTTP/2 as well is told what is spoken here.
  SSL_CTX_set_alpn_select_cb(
      native,
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size,
         void*) {
        static constexpr std::array<unsigned char, 9> own{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
        unsigned char* chosen = nullptr;
        if (SSL_select_next_proto(&chosen, size, own.data(), own.size(), in, in_size) !=
            OPENSSL_NPN_NEGOTIATED)
          return SSL_TLSEXT_ERR_NOACK;
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  context.use_certificate_chain_file(files->certificate.string(), failed);
  check("tls.certificate", files->certificate, failed);
  context.use_private_key_file(files->key.string(), net::ssl::context::pem, failed);
  check("tls.key", files->key, failed);
  if (!files->client_ca.empty()) {
    context.load_verify_file(files->client_ca.string(), failed);
    check("tls.client_ca", files->client_ca, failed);
    SSL_CTX_set_client_CA_list(native, SSL_load_client_CA_file(files->client_ca.string().c_str()));
    context.set_verify_mode(net::ssl::verify_peer | net::ssl::verify_fail_if_no_peer_cert, failed);
    // Without it, a client that comes back with its session is refused.
    static constexpr std::string_view name = "quern";
    SSL_CTX_set_session_id_context(native, reinterpret_cast<const unsigned char*>(name.data()), name.size());
  }
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return context;
}

void BeastServer::open() {
  tls = tls_context(options.tls);
  const std::string& address = options.address;
  const tcp::endpoint endpoint(net::ip::make_address(address == "localhost" ? "127.0.0.1" : address),
                               options.port);
  try {
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(net::socket_base::reuse_address(true));
    acceptor_.bind(endpoint);
    acceptor_.listen(1024);
    acceptor_.non_blocking(true);
    port_ = acceptor_.local_endpoint().port();
  } catch (const boost::system::system_error& error) {
    throw Error(fmt::format("can't listen on {} port {}: {}", address, options.port, error.code().message()));
  }
  pool.emplace(options.handler_threads, options.limits.waiting_requests);
  try {
    for (int i = 0; i < options.io_threads; ++i) threads_.emplace_back([this] { run(); });
    net::post(acceptor_.get_executor(), [this] { accept(); });
  } catch (...) {
    stop();
    throw;
  }
  log_to(options.log,
         {.level = LogLevel::info,
          .message = "listening",
          .fields = std::array<LogField, 2>{LogField("address", address), LogField("port", port_)}});
}

void BeastServer::run() noexcept {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception& error) {
      report(error.what());
    } catch (...) {
      report("something that is not a std::exception was thrown in the server");
    }
  }
}

void BeastServer::accept() {
  acceptor_.async_accept(net::make_strand(io_), [this](const Code& failed, tcp::socket socket) {
    on_accept(failed, std::move(socket));
  });
}

void BeastServer::on_accept(const Code& failed, tcp::socket socket) {
  if (stopping || failed == net::error::operation_aborted) return;
  if (!failed || failed == net::error::connection_aborted) {
    try {
      if (!failed) admit(std::move(socket));
    } catch (const std::exception& error) {
      report(fmt::format("a connection could not be taken: {}", error.what()));
    }
    return accept();
  }
  // Out of files or of memory, most likely, and the next attempt would fail at once, and the next one.
  report(fmt::format("a connection could not be accepted: {}", failed.message()));
  accept_timer_.expires_after(accept_pause);
  accept_timer_.async_wait([this](const Code& cancelled) {
    if (!cancelled && !stopping) accept();
  });
}

void BeastServer::admit(tcp::socket socket) {
  Code failed;
  const tcp::endpoint remote = socket.remote_endpoint(failed);
  if (failed) return;  // gone already
  net::ip::address address = remote.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6());
  std::string peer = address.to_string();
  const auto connection = std::make_shared<Connection>(*this, std::move(socket), peer);
  {
    const std::lock_guard lock(mutex_);
    if (stopping) return;
    const auto known = per_peer_.find(peer);
    const std::size_t of_peer = known == per_peer_.end() ? 0 : known->second;
    if (connections_.size() < options.limits.connections && of_peer < options.limits.connections_per_peer) {
      connections_.emplace(connection.get(), connection);
      per_peer_[peer] = of_peer + 1;
      connection->start();
      return;
    }
  }
  ++turned_away_;
  const SteadyTime now = clock.steady();
  if (has_warned_ && now - warned_ < std::chrono::seconds(10)) return;  // whoever comes does not fill the log
  warned_ = now;
  has_warned_ = true;
  log_to(options.log, {.level = LogLevel::warning,
                       .message = "there are too many connections, and further ones are turned away",
                       .fields = std::array<LogField, 1>{LogField("peer", peer)}});
}

Response BeastServer::call(Request& request) noexcept {
  try {
    return handler(request);
  } catch (const Problem& problem) {
    return to_response(problem);
  } catch (const std::exception& error) {
    report(fmt::format("a handler threw: {}", error.what()));
  } catch (...) {
    report("a handler threw something that is not a std::exception");
  }
  return to_response(Problem{});
}

void BeastServer::remove(const Connection* connection, const std::string& peer) noexcept {
  std::shared_ptr<Connection> kept;
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  kept = std::move(found->second);  // it is on its way out of a member function
  connections_.erase(found);
  const auto of_peer = per_peer_.find(peer);
  if (--of_peer->second == 0) per_peer_.erase(of_peer);
  if (connections_.empty()) gone_.notify_all();
}

void BeastServer::report(std::string_view what) const noexcept {
  log_to(options.log, LogLevel::error, what);
  try {
    if (options.on_error) options.on_error(what);
  } catch (...) {
    // What listens to errors can't stop the server.
  }
}

void BeastServer::debug(std::string_view message, int status, const std::string& peer) const noexcept {
  log_to(options.log,
         {.level = LogLevel::debug,
          .message = message,
          .fields = std::array<LogField, 2>{LogField("status", status), LogField("peer", peer)}});
}

ServerCounts BeastServer::counts() const {
  ServerCounts counts{.streams = streams,
                      .waiting = pool ? pool->waiting() : 0,
                      .requests = requests,
                      .refused = refused,
                      .turned_away = turned_away_};
  const std::lock_guard lock(mutex_);
  counts.connections = connections_.size();
  return counts;
}

void BeastServer::each_connection(void (Connection::*what)()) {
  const std::lock_guard lock(mutex_);
  for (const auto& [_, connection] : connections_) (connection.get()->*what)();
}

bool BeastServer::all_gone_within(milliseconds longest) {
  std::unique_lock lock(mutex_);
  return gone_.wait_for(lock, longest, [&] { return connections_.empty(); });
}

void BeastServer::stop() noexcept {
  if (stopped_) return;
  stopped_ = true;
  {
    const std::lock_guard lock(mutex_);
    stopping = true;  // from here on no connection is added
  }
  net::post(acceptor_.get_executor(), [this] {
    Code ignored;
    acceptor_.close(ignored);
    accept_timer_.cancel();
  });
  each_connection(&Connection::drain);
  if (!all_gone_within(options.timeouts.grace)) {
    each_connection(&Connection::abandon);
    while (!all_gone_within(std::chrono::hours(1))) {
    }
  }
  if (pool) pool->stop();
  work_.reset();
  threads_.clear();
}

}  // namespace

std::unique_ptr<ServerCore> listen(const Server::Handler& handler, const ServerOptions& options,
                                   ClockRef clock) {
  return std::make_unique<BeastServer>(handler, options, clock);
}

}  // namespace quern::inline v1::http::detail
