// quern-bench-http: what the HTTP server does with a constant answer, as wrk sees it, what the API does beside that, with a key and
// on which storage, and what a connection costs that is idle.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <quern/http/api_server.hpp>
#include <quern/http/server.hpp>
#include <quern/job_service.hpp>
#include <quern/sqlite.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using quern::http::Request;
using quern::http::Response;
using quern::http::Server;
using quern::http::ServerOptions;

void print(const std::string& name, double value, const char* unit) {
  std::printf("%s\t%.1f\t%s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

/// About as long as an answer about one job.
Response constant(Request& /*request*/) {
  Response response;
  response.headers.set("Content-Type", "application/json");
  response.body = std::string(200, 'x');
  return response;
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string out;
  char piece[4096];
  while (pipe && std::fgets(piece, sizeof piece, pipe.get()) != nullptr) out += piece;
  return out;
}

/// The word after `label` in wrk's report.
std::string value_after(const std::string& report, std::string_view label) {
  std::size_t at = report.find(label);
  if (at == std::string::npos) throw std::runtime_error("wrk says: " + report);
  at = report.find_first_not_of(' ', at + label.size());
  return report.substr(at, report.find_first_of(" \n", at) - at);
}

/// "1.23ms" in microseconds.
double microseconds(const std::string& time) {
  std::size_t unit = 0;
  const double value = std::stod(time, &unit);
  const std::string name = time.substr(unit);
  return name == "us" ? value : name == "ms" ? value * 1e3 : value * 1e6;
}

/// The requests a second.
double rates(const std::string& what, const std::string& url, int connections, int seconds,
             const std::string& more = {}) {
  const std::string report = output_of("wrk --latency -t 1 -c " + std::to_string(connections) + " -d " +
                                       std::to_string(seconds) + "s " + more + " " + url + " 2>&1");
  const std::string name = "http." + what + ".connections_" + std::to_string(connections);
  const double rate = std::stod(value_after(report, "Requests/sec:"));
  print(name + ".rate", rate, "requests/s");
  print(name + ".p50", microseconds(value_after(report, "50%")), "us");
  print(name + ".p99", microseconds(value_after(report, "99%")), "us");
  if (report.find("Non-2xx") != std::string::npos || report.find("Socket errors") != std::string::npos)
    throw std::runtime_error("wrk says: " + report);
  return rate;
}

/// Reading a job and adding jobs, on one storage, with a key, as parts of `floor`, what a constant answer is given with.
void api(const std::string& name, const std::string& storage, const std::filesystem::path& folder,
         double floor, int seconds) {
  constexpr const char* key = "a-key-of-32-characters-or-a-few-more";
  constexpr int connections = 64;
  quern::ServiceConfig config;
  config.storage = storage;
  config.run_jobs = false;
  config.alerting = false;
  quern::JobService service{config};
  quern::http::HttpConfig http;
  http.keys.push_back({.key = {.name = "bench", .role = "admin"}, .secret = quern::Secret(key)});
  http.gate.per_caller.quota = http.gate.per_address.quota = 0;
  http.auditing = false;
  quern::http::ApiServer server{service, http};
  service.start();
  server.start();
  const auto id =
      service.queue().enqueue("bench", quern::Payload::json(R"({"user":17,"subject":"hello"})")).id;
  const std::string header = std::string("-H 'Authorization: Bearer ") + key + "'";
  const auto part = [&](const std::string& what, double rate) {
    print("http.api." + name + "." + what + ".part_of_constant", rate / floor, "1");
  };
  part("read", rates("api." + name + ".read", server.url() + "/api/jobs/" + to_string(id), connections,
                     seconds, header));
  const auto script = folder / "add.lua";
  std::ofstream(script)
      << "wrk.method = 'POST'\nwrk.body = '{\"kind\":\"bench\",\"payload\":{\"user\":17}}'\n"
         "wrk.headers['Content-Type'] = 'application/json'\n";
  part("add", rates("api." + name + ".add", server.url() + "/api/jobs", connections, seconds,
                    header + " -s " + script.string()));
  server.stop();
  service.stop();
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double all = 0;
  double resident = 0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Of this process; what the kernel keeps for a socket comes on top.
void idle_connections(Server& server, std::size_t count) {
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::vector<int> sockets;
  sockets.reserve(count);
  const auto open = [&](std::size_t wanted) {
    while (sockets.size() < wanted) {
      const int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(server.port());
      char answer[1024];
      if (one < 0 || connect(one, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
          send(one, request.data(), request.size(), MSG_NOSIGNAL) < 0 ||
          recv(one, answer, sizeof answer, 0) <= 0)
        throw std::runtime_error(std::string("an idle connection can't be made: ") + std::strerror(errno));
      sockets.push_back(one);
    }
  };
  open(count / 10);  // what is made once is there by then
  const double before = resident_bytes();
  open(count);
  const double after = resident_bytes();
  print("http.idle_connection.memory", (after - before) / static_cast<double>(count - count / 10), "bytes");
  for (const int one : sockets) close(one);
}

}  // namespace

int main(int argc, char** argv) try {
  const bool quick = argc == 2 && std::string_view(argv[1]) == "--quick";
  if (argc > 1 && !quick) {
    std::fprintf(stderr, "usage: quern-bench-http [--quick]\n");
    return 2;
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const std::size_t idle = std::min<std::size_t>(2000, static_cast<std::size_t>(files.rlim_cur) / 4);
  ServerOptions options;
  options.limits.connections = options.limits.connections_per_peer = idle + 100;
  Server server(constant, options);
  server.start();
  if (output_of("command -v wrk").empty()) {
    std::fprintf(stderr, "quern-bench-http: wrk is not installed (Debian: wrk), so no rates are measured\n");
  } else {
    const int seconds = quick ? 1 : 10;
    rates("constant", server.url() + "/", 1, seconds);
    const double floor = rates("constant", server.url() + "/", 64, seconds);
    std::string folder = (std::filesystem::temp_directory_path() / "quern-bench-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder can be made");
    api("memory", "memory:", folder, floor, seconds);
    api("sqlite", "sqlite:" + folder + "/jobs.db", folder, floor, seconds);
    std::filesystem::remove_all(folder);
  }
  idle_connections(server, idle);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-http: %s\n", e.what());
  return 1;
}
