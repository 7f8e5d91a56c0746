#include "support/loopback_proxy.hpp"

#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace quern_test {
namespace {

constexpr std::size_t most_waiting = std::size_t{1} << 20U;  // bytes of one direction; then the sender waits
constexpr int greeting =
    3;  // answers to a client that connects: of encryption, of who it is, of its settings

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

bool for_later(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

}  // namespace

LoopbackProxy::LoopbackProxy(int server_port) : server_port_(server_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 128) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no port for the proxy");
  port_ = ntohs(address.sin_port);
}

LoopbackProxy::~LoopbackProxy() {
  pairs_.splice(pairs_.end(), forgotten_);
  for (Pair& pair : pairs_) pair.over = true;
  close_those_that_are_over();
  ::close(listener_);
  ::close(bell_);
}

std::string LoopbackProxy::address() const {
  return "postgresql://quern@127.0.0.1:" + std::to_string(port_) + "/postgres";
}

void LoopbackProxy::set(Traffic traffic, std::chrono::milliseconds by) {
  {
    const std::lock_guard lock(mutex_);
    wish_ = {traffic, by};
  }
  wake();
}

void LoopbackProxy::forget_connections() {
  {
    const std::lock_guard lock(mutex_);
    forget_ = true;
  }
  wake();
}

void LoopbackProxy::drop_answers(int count) {
  const std::lock_guard lock(mutex_);
  to_drop_ = count;
}

int LoopbackProxy::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

bool LoopbackProxy::drops_this_one() {
  const std::lock_guard lock(mutex_);
  if (to_drop_ == 0) return false;
  --to_drop_;
  ++dropped_;
  return true;
}

void LoopbackProxy::wake() const noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto size = ::write(bell_, &one, sizeof one);  // full: it rings already
}

void LoopbackProxy::accept_one() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const sockaddr_in address = loopback(server_port_);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS) {
    ::close(client);
    ::close(server);
    return;
  }
  Pair& pair = pairs_.emplace_back();
  pair.up.from = pair.down.to = client;
  pair.up.to = pair.down.from = server;
}

void LoopbackProxy::read(Pair& pair, Flow& flow, const Wish& wish) {
  char buffer[65536];
  const auto size = ::recv(flow.from, buffer, sizeof buffer, 0);
  if (for_later(size)) return;
  if (size <= 0) {
    flow.ended = true;
    return;
  }
  if (&flow == &pair.down && ++pair.answers > greeting && drops_this_one()) {
    pair.over = true;
    return;
  }
  const auto later = wish.traffic == Traffic::delay ? wish.by : std::chrono::milliseconds(0);
  flow.chunks.push_back(
      {std::chrono::steady_clock::now() + later, std::string(buffer, static_cast<std::size_t>(size))});
  flow.waiting += static_cast<std::size_t>(size);
}

void LoopbackProxy::write(Pair& pair, Flow& flow) {
  const Time now = std::chrono::steady_clock::now();
  while (!flow.chunks.empty() && flow.chunks.front().due <= now) {
    Chunk& chunk = flow.chunks.front();
    const auto size =
        ::send(flow.to, chunk.bytes.data() + chunk.sent, chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
    if (for_later(size)) return;
    if (size < 0) {
      pair.over = true;
      return;
    }
    chunk.sent += static_cast<std::size_t>(size);
    flow.waiting -= static_cast<std::size_t>(size);
    if (chunk.sent < chunk.bytes.size()) return;
    flow.chunks.pop_front();
  }
  // Who talks here hangs up as a whole, never one direction of it.
  if (flow.ended && flow.chunks.empty()) pair.over = true;
}

/// Of the socket that `reads` comes from and `writes` goes to.
short LoopbackProxy::events(const Flow& reads, const Flow& writes, Time now) {
  const bool has_room = !reads.ended && reads.waiting < most_waiting;
  const bool has_news = !writes.chunks.empty() && writes.chunks.front().due <= now;
  return static_cast<short>((has_room ? POLLIN : 0) | (has_news ? POLLOUT : 0));
}

void LoopbackProxy::close_those_that_are_over() {
  std::erase_if(pairs_, [](const Pair& pair) {
    if (!pair.over) return false;
    ::close(pair.up.from);
    ::close(pair.up.to);
    return true;
  });
}

void LoopbackProxy::step(std::chrono::milliseconds patience) {
  Wish wish;
  {
    const std::lock_guard lock(mutex_);
    wish = wish_;
    if (std::exchange(forget_, false)) forgotten_.splice(forgotten_.end(), pairs_);
  }
  if (wish.traffic == Traffic::cut) {
    for (Pair& pair : pairs_) pair.over = true;
    close_those_that_are_over();
  }
  sockets_.clear();
  sockets_.push_back({bell_, POLLIN, 0});
  const bool still = wish.traffic == Traffic::half_open;
  if (!still) {
    const Time now = std::chrono::steady_clock::now();
    sockets_.push_back({listener_, POLLIN, 0});
    for (const Pair& pair : pairs_) {
      // A negative handle is passed over: nothing is wanted of it, and that it hung up is known.
      const short client = events(pair.up, pair.down, now);
      const short server = events(pair.down, pair.up, now);
      sockets_.push_back({client == 0 ? -1 : pair.up.from, client, 0});
      sockets_.push_back({server == 0 ? -1 : pair.up.to, server, 0});
      for (const Flow* const flow : {&pair.up, &pair.down}) {
        if (flow->chunks.empty() || flow->chunks.front().due <= now) continue;
        patience =
            std::min(patience, std::chrono::ceil<std::chrono::milliseconds>(flow->chunks.front().due - now));
      }
    }
  }
  // Where it fails or takes as long as it may, nothing is marked; what is due is due all the same.
  ::poll(sockets_.data(), sockets_.size(), static_cast<int>(patience.count()));
  if (sockets_[0].revents != 0) {
    std::uint64_t rings = 0;
    [[maybe_unused]] const auto size = ::read(bell_, &rings, sizeof rings);
    return;  // something else may be wanted now
  }
  if (still) return;
  std::size_t next = 2;
  for (Pair& pair : pairs_) {
    const short client = sockets_[next++].revents;
    const short server = sockets_[next++].revents;
    if (!pair.up.ended && client != 0) read(pair, pair.up, wish);
    if (!pair.down.ended && server != 0) read(pair, pair.down, wish);
    if (!pair.over) write(pair, pair.up);
    if (!pair.over) write(pair, pair.down);
  }
  close_those_that_are_over();
  if (sockets_[1].revents != 0) accept_one();
}

}  // namespace quern_test
