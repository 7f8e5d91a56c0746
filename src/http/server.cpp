#include "quern/http/server.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "http/request_head.hpp"
#include "http/server_core.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

class Faults {
 public:
  template <class Value>
  void range(std::string_view field, Value value, Value least, Value most) {
    if (value < least || value > most)
      all_.push_back(fmt::format("{}: {} to {}, not {}", field, least, most, value));
  }
  void time(std::string_view field, std::chrono::milliseconds value) {
    range<std::int64_t>(fmt::format("timeouts.{} (ms)", field), value.count(), 1, 24 * 3'600'000);
  }
  void add(std::string fault) { all_.push_back(std::move(fault)); }
  void throw_them() {
    if (!all_.empty()) throw ConfigError(std::move(all_));
  }

 private:
  std::vector<std::string> all_;
};

bool is_loopback_name(const std::string& address) {
  return address == "localhost" || detail::is_loopback(address);
}

void check_address(const ServerOptions& options, Faults& faults) {
  if (options.address != "localhost" && !detail::is_address(options.address)) {
    faults.add(fmt::format("address: an IPv4 or IPv6 address or \"localhost\", not \"{}\"", options.address));
  } else if (!is_loopback_name(options.address) && !options.authenticated &&
             !options.allow_unauthenticated_remote) {
    faults.add(fmt::format(
        "address: {} can be reached from other machines, and nobody who asks is asked who they are: "
        "set up authentication, listen on 127.0.0.1, or set allow_unauthenticated_remote",
        options.address));
  }
  for (std::size_t i = 0; i < options.hosts.size(); ++i) {
    const std::string& host = options.hosts[i];
    if (host == "*" || detail::host_of(host) == host) {
      if (!host.empty()) continue;
    } else if (host.starts_with('[') && host.ends_with(']') && !detail::host_of(host).empty()) {
      continue;
    }
    faults.add(fmt::format("hosts[{}]: a name or an address without a port, or \"*\", not \"{}\"", i, host));
  }
}

void check_limits(const ServerLimits& limits, Faults& faults) {
  faults.range<std::size_t>("limits.head_bytes", limits.head_bytes, 1024, std::size_t{1} << 20U);
  faults.range<std::size_t>("limits.fields", limits.fields, 10, 10'000);
  faults.range<std::size_t>("limits.target_bytes", limits.target_bytes, 64, limits.head_bytes);
  faults.range<std::size_t>("limits.body_bytes", limits.body_bytes, 0, std::size_t{1} << 30U);
  faults.range<std::size_t>("limits.connections", limits.connections, 1, 1'000'000);
  faults.range<std::size_t>("limits.connections_per_peer", limits.connections_per_peer, 1, 1'000'000);
  faults.range<std::size_t>("limits.waiting_requests", limits.waiting_requests, 0, 1'000'000);
}

}  // namespace

void ServerOptions::check() const {
  Faults faults;
  check_address(*this, faults);
  check_limits(limits, faults);
  faults.time("handshake", timeouts.handshake);
  faults.time("head", timeouts.head);
  faults.time("body", timeouts.body);
  faults.time("idle", timeouts.idle);
  faults.time("write", timeouts.write);
  faults.time("heartbeat", timeouts.heartbeat);
  faults.range<std::int64_t>("timeouts.grace (ms)", timeouts.grace.count(), 0, 24 * 3'600'000);
  faults.range<std::size_t>("timeouts.body_rate", timeouts.body_rate, 1, std::size_t{1} << 30U);
  faults.range("io_threads", io_threads, 1, 64);
  faults.range("handler_threads", handler_threads, 1, 1024);
  if (tls && tls->certificate.empty()) faults.add("tls.certificate: there is no file");
  if (tls && tls->key.empty()) faults.add("tls.key: there is no file");
  faults.throw_them();
}

Server::Server(Handler handler, ServerOptions options, ClockRef clock)
    : handler_(std::move(handler)), options_(std::move(options)), clock_(clock) {
  if (!handler_) throw InvalidArgument("handler", "there is none");
  options_.check();
}

Server::~Server() { stop(); }

void Server::start() {
  const std::lock_guard changing(changing_);
  if (running()) return;
  std::shared_ptr<detail::ServerCore> core = detail::listen(handler_, options_, clock_);
  const std::lock_guard lock(mutex_);
  core_ = std::move(core);
}

void Server::stop() noexcept {
  const std::lock_guard changing(changing_);
  std::shared_ptr<detail::ServerCore> core;
  {
    const std::lock_guard lock(mutex_);
    core = core_;
  }
  if (!core) return;
  core->stop();
  const std::lock_guard lock(mutex_);
  core_.reset();
}

bool Server::running() const {
  const std::lock_guard lock(mutex_);
  return core_ != nullptr;
}

std::uint16_t Server::port() const {
  const std::lock_guard lock(mutex_);
  return core_ ? core_->port() : std::uint16_t{0};
}

std::string Server::url() const {
  const std::uint16_t port = this->port();
  if (port == 0) return {};
  const bool six = options_.address.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", options_.tls ? "https" : "http", six ? "[" : "", options_.address,
                     six ? "]" : "", port);
}

ServerCounts Server::counts() const {
  const std::lock_guard lock(mutex_);
  return core_ ? core_->counts() : ServerCounts{};
}

}  // namespace quern::inline v1::http
