#include "support/http_test_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace quern_test {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string trim(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

bool send_all(int connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

std::string decode_query(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string ServedRequest::header(const std::string& name) const {
  const auto found = headers.find(lower(name));
  return found == headers.end() ? "" : found->second;
}

HttpTestServer::HttpTestServer(Handler handler) : handler_(std::move(handler)) {
  std::array<int, 2> wake{};
  if (pipe(wake.data()) != 0) fail("pipe");
  wake_read_ = wake[0];
  wake_write_ = wake[1];
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener_ < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), length) != 0) fail("bind");
  if (listen(listener_, 64) != 0) fail("listen");
  if (getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) fail("getsockname");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpTestServer::~HttpTestServer() {
  const char byte = 0;
  static_cast<void>(!write(wake_write_, &byte, 1));
  acceptor_.join();
  for (auto& connection : connections_) connection.join();
  close(listener_);
  close(wake_read_);
  close(wake_write_);
}

void HttpTestServer::inject(const std::string& part, Reply reply, int times) {
  const std::lock_guard lock(mutex_);
  injections_.push_back({part, std::move(reply), times});
}

std::vector<ServedRequest> HttpTestServer::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void HttpTestServer::forget_log() {
  const std::lock_guard lock(mutex_);
  log_.clear();
}

void HttpTestServer::accept_all() {
  while (true) {
    std::array<pollfd, 2> fds{{{wake_read_, POLLIN, 0}, {listener_, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    if (fds[1].revents == 0) continue;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    // Half of a body has to arrive before the hanging up, and answers come in two writes.
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_.emplace_back([this, connection] {
      serve(connection);
      close(connection);
    });
  }
}

void HttpTestServer::serve(int connection) {
  std::string buffer;
  while (true) {
    ServedRequest request;
    if (!read_request(connection, buffer, request)) return;
    const Reply reply = reply_to(request);
    if (!answer(connection, reply, request.method == "HEAD")) return;
    if (lower(request.header("connection")) == "close") return;
  }
}

Reply HttpTestServer::reply_to(const ServedRequest& request) {
  const std::lock_guard lock(mutex_);
  log_.push_back(request);
  for (auto injection = injections_.begin(); injection != injections_.end(); ++injection) {
    if (request.target.find(injection->part) == std::string::npos) continue;
    Reply reply = injection->reply;
    if (--injection->times == 0) injections_.erase(injection);
    return reply;
  }
  return handler_(request);
}

bool HttpTestServer::read_request(int connection, std::string& buffer, ServedRequest& request) {
  const auto more = [&] {
    std::array<pollfd, 2> fds{{{wake_read_, POLLIN, 0}, {connection, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0) return errno == EINTR;
    if (fds[0].revents != 0) return false;
    std::array<char, 16384> piece{};
    const ssize_t got = recv(connection, piece.data(), piece.size(), 0);
    if (got <= 0) return false;
    buffer.append(piece.data(), static_cast<std::size_t>(got));
    return true;
  };
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos)
    if (!more()) return false;

  std::string head = buffer.substr(0, end + 2);
  buffer.erase(0, end + 4);
  std::size_t line_start = 0;
  bool first = true;
  while (line_start < head.size()) {
    const auto line_end = head.find("\r\n", line_start);
    const std::string line = head.substr(line_start, line_end - line_start);
    line_start = line_end + 2;
    if (first) {
      const auto a = line.find(' ');
      const auto b = line.rfind(' ');
      if (a == std::string::npos || b <= a) return false;
      request.method = line.substr(0, a);
      request.target = line.substr(a + 1, b - a - 1);
      first = false;
    } else if (const auto colon = line.find(':'); colon != std::string::npos) {
      request.headers[lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
  }
  const auto question = request.target.find('?');
  request.path = request.target.substr(0, question);
  std::string query = question == std::string::npos ? "" : request.target.substr(question + 1);
  while (!query.empty()) {
    const auto ampersand = query.find('&');
    const std::string pair = query.substr(0, ampersand);
    query = ampersand == std::string::npos ? "" : query.substr(ampersand + 1);
    const auto equals = pair.find('=');
    request.query[decode_query(pair.substr(0, equals))] =
        equals == std::string::npos ? "" : decode_query(pair.substr(equals + 1));
  }
  const std::string length_text = request.header("content-length");
  const std::size_t length = length_text.empty() ? 0 : std::stoul(length_text);
  while (buffer.size() < length)
    if (!more()) return false;
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return true;
}

void HttpTestServer::hang(int connection) {
  while (true) {
    std::array<pollfd, 2> fds{{{wake_read_, POLLIN, 0}, {connection, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds[0].revents != 0) return;
    std::array<char, 4096> ignored{};
    if (fds[1].revents != 0 && recv(connection, ignored.data(), ignored.size(), 0) <= 0) return;
  }
}

bool HttpTestServer::answer(int connection, const Reply& reply, bool head) {
  using Fault = Reply::Fault;
  if (reply.fault == Fault::drop) return false;
  if (reply.fault == Fault::hang) return hang(connection), false;

  std::string bytes = "HTTP/1.1 " + std::to_string(reply.status) + " Answer\r\n";
  for (const auto& [name, value] : reply.headers) bytes += name + ": " + value + "\r\n";
  const bool no_body = head || reply.status == 204 || reply.status == 304;
  if (reply.chunked) {
    bytes += "Transfer-Encoding: chunked\r\n\r\n";
    constexpr std::size_t chunk = 1000;
    for (std::size_t at = 0; at < reply.body.size(); at += chunk) {
      const std::string part = reply.body.substr(at, chunk);
      std::array<char, 20> size{};
      std::snprintf(size.data(), size.size(), "%zx\r\n", part.size());
      bytes += size.data() + part + "\r\n";
    }
    bytes += "0\r\n";
    for (const auto& [name, value] : reply.trailers) bytes += name + ": " + value + "\r\n";
    bytes += "\r\n";
    return send_all(connection, bytes);
  }
  if (reply.status != 204 && reply.status != 304)
    bytes += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
  bytes += "\r\n";
  const bool half = reply.fault == Fault::truncate || reply.fault == Fault::stall;
  if (!no_body) bytes += half ? reply.body.substr(0, reply.body.size() / 2) : reply.body;
  if (!send_all(connection, bytes)) return false;
  if (reply.fault == Fault::stall) hang(connection);
  return !half;
}

}  // namespace quern_test
