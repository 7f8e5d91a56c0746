#include "support/raw_http.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace quern_test {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace

std::string RawAnswer::header(const std::string& name) const {
  const auto found = headers.find(lower(name));
  return found == headers.end() ? "" : found->second;
}

RawHttp::RawHttp(std::uint16_t port, int receive_bytes) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail("socket");
  if (receive_bytes > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(socket_);
    fail("connect");
  }
}

RawHttp::~RawHttp() { close(); }

void RawHttp::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void RawHttp::wait_for(short what) const {
  pollfd waited{socket_, what, 0};
  int ready = 0;
  do ready = poll(&waited, 1, 30'000);
  while (ready < 0 && errno == EINTR);
  if (ready == 0) throw std::runtime_error("the server does not go on");
}

void RawHttp::wait_for_bytes() const { wait_for(POLLIN); }

bool RawHttp::readable() const {
  pollfd waited{socket_, POLLIN, 0};
  return poll(&waited, 1, 5) > 0;
}

std::size_t RawHttp::receive(char* bytes, std::size_t most) {
  wait_for(POLLIN);
  const ssize_t got = recv(socket_, bytes, most, 0);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

std::size_t RawHttp::transmit(const char* bytes, std::size_t count) {
  wait_for(POLLOUT);
  const ssize_t sent = ::send(socket_, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

bool RawHttp::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t sent = transmit(bytes.data(), bytes.size());
    if (sent == 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

void RawHttp::end_sending() { shutdown(socket_, SHUT_WR); }

bool RawHttp::more() {
  std::array<char, 16384> piece{};
  const std::size_t got = receive(piece.data(), piece.size());
  in_.append(piece.data(), got);
  return got > 0;
}

std::string RawHttp::read_until(std::string_view end) {
  std::size_t at = 0;
  while ((at = in_.find(end)) == std::string::npos)
    if (!more()) throw std::runtime_error("the server has closed after: " + in_);
  std::string read = in_.substr(0, at + end.size());
  in_.erase(0, read.size());
  return read;
}

std::string RawHttp::read_to_end() {
  while (more()) {
  }
  return std::exchange(in_, {});
}

RawAnswer RawHttp::answer(bool head) {
  RawAnswer answer;
  const std::string text = read_until("\r\n\r\n");
  if (!text.starts_with("HTTP/1.1 ")) throw std::runtime_error("no answer: " + text);
  answer.status = std::stoi(text.substr(9, 3));
  std::size_t line = text.find("\r\n") + 2;
  while (line + 2 < text.size()) {
    const std::size_t end = text.find("\r\n", line);
    const std::size_t colon = text.find(": ", line);
    if (colon == std::string::npos || colon > end) throw std::runtime_error("a faulty field: " + text);
    std::string& value = answer.headers[lower(text.substr(line, colon - line))];
    if (!value.empty()) value += ", ";
    value += text.substr(colon + 2, end - colon - 2);
    line = end + 2;
  }
  if (head || answer.status == 204 || answer.status == 304 || answer.status < 200) return answer;
  if (answer.header("transfer-encoding") == "chunked") {
    for (;;) {
      const std::string size_line = read_until("\r\n");
      const std::size_t size = std::stoul(size_line, nullptr, 16);
      while (in_.size() < size + 2)
        if (!more()) throw std::runtime_error("the server has closed within a chunk");
      answer.body += in_.substr(0, size);
      in_.erase(0, size + 2);
      if (size == 0) return answer;
    }
  }
  const std::string length_text = answer.header("content-length");
  if (length_text.empty()) {
    answer.body = read_to_end();
    return answer;
  }
  const std::size_t length = std::stoul(length_text);
  while (in_.size() < length)
    if (!more()) throw std::runtime_error("the server has closed within a body");
  answer.body = in_.substr(0, length);
  in_.erase(0, length);
  return answer;
}

RawAnswer RawHttp::ask(std::string_view bytes) {
  send(bytes);
  return answer();
}

std::string get_request(std::string_view target, std::string_view more_fields) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more_fields) +
         "\r\n";
}

std::string post_request(std::string_view target, std::string_view body, std::string_view more_fields) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_fields) + "\r\n" + std::string(body);
}

}  // namespace quern_test
