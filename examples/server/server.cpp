// quern-server: a whole host program. Its jobs, handlers, schedules, API and dashboard, from one configuration file.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <quern/handlers/curl_transport.hpp>
#include <quern/handlers/digest/digest_handler.hpp>
#include <quern/handlers/notify/console_channel.hpp>
#include <quern/handlers/notify/file_channel.hpp>
#include <quern/handlers/notify/notification_handler.hpp>
#include <quern/handlers/notify/webhook_channel.hpp>
#include <quern/http.hpp>
#include <quern/job_service.hpp>
#include <quern/sqlite.hpp>

#include "../support/stop_signals.hpp"
#include "sample_jobs.hpp"

namespace {

using namespace std::chrono_literals;

constexpr const char* usage = R"(quern-server: jobs, their API and a dashboard

  quern-server [--config FILE]                 runs until it is told to stop (SIGINT, SIGTERM)
  quern-server [--config FILE] --new-key NAME [--role ROLE]
                                               makes an API key (role: viewer, operator or admin) and prints it
  quern-server --open                          for a look: on a loopback address, nobody is asked who they are
  --port PORT, --data FOLDER                   instead of what the file says
  --sample                                     with jobs that come and go by themselves

The file is JSON: {"data": "FOLDER", "service": {...}, "http": {...}}; docs/configuration.md and docs/http-server.md say what
may stand there. QUERN_STORAGE, QUERN_HTTP_PORT and the like go before it.
)";

struct Arguments {
  std::string config{};
  std::string new_key{};
  std::string role = "admin";
  std::string port{};
  std::filesystem::path data{};
  bool open = false;
  bool sample = false;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 == words.size()) throw quern::InvalidArgument(words[i], "needs a value");
      return words[++i];
    };
    if (words[i] == "--help" || words[i] == "-h") {
      std::cout << usage;
      std::exit(0);
    }
    if (words[i] == "--config") {
      out.config = value();
    } else if (words[i] == "--new-key") {
      out.new_key = value();
    } else if (words[i] == "--role") {
      out.role = value();
    } else if (words[i] == "--port") {
      out.port = value();
    } else if (words[i] == "--data") {
      out.data = value();
    } else if (words[i] == "--open") {
      out.open = true;
    } else if (words[i] == "--sample") {
      out.sample = true;
    } else {
      throw quern::InvalidArgument(words[i], "is not known; see --help");
    }
  }
  return out;
}

struct Config {
  std::filesystem::path data{};
  quern::ServiceConfig service{};
  quern::http::HttpConfig http{};
};

/// The text of a part of the file, "{}" where it has none.
std::string part(const nlohmann::json& file, const char* name) {
  return file.contains(name) ? file.at(name).dump() : "{}";
}

Config read(const Arguments& arguments) {
  nlohmann::json file = nlohmann::json::object();
  if (!arguments.config.empty()) {
    std::ifstream stream(arguments.config);
    if (!stream) throw quern::ConfigError({arguments.config + ": can't be opened"});
    const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    quern::check_json(text, arguments.config, quern::JobLimits{});
    file = nlohmann::json::parse(text);
    for (const auto& entry : file.items())
      if (entry.key() != "data" && entry.key() != "service" && entry.key() != "http")
        throw quern::ConfigError({entry.key() + ": is not known; there are data, service and http"});
  }
  Config config;
  config.data = arguments.data;
  if (config.data.empty()) config.data = file.value("data", "quern-server-data");
  std::filesystem::create_directories(config.data);
  // Unless something else is said: a file in the data folder.
  nlohmann::json service = nlohmann::json::parse(part(file, "service"));
  if (!service.contains("storage")) service["storage"] = "sqlite:" + (config.data / "quern.db").string();
  if (arguments.sample && !service.contains("pool"))
    service["pool"]["scaling"] = {{"minWorkers", 2}, {"maxWorkers", 6}};
  config.service = quern::ServiceConfig::from_environment(quern::ServiceConfig::from_json(service.dump()));
  nlohmann::json http = nlohmann::json::parse(part(file, "http"));
  if (!http.contains("port")) http["port"] = 8080;
  if (!arguments.port.empty()) http["port"] = nlohmann::json::parse(arguments.port);
  if (arguments.open) http["open"] = true;
  config.http = quern::http::HttpConfig::from_environment(quern::http::HttpConfig::from_json(http.dump()));
  const quern::Logger log = [](const quern::LogRecord& record) { std::cerr << to_text(record) + "\n"; };
  config.service.log = config.http.log = log;
  return config;
}

/// What the handlers of digests and notices stand on.
struct Handlers {
  explicit Handlers(const std::filesystem::path& data) : artifacts(data / "artifacts") {
    channels->add(quern::notify::ConsoleChannel());
    channels->add(quern::notify::FileChannel());
    channels->add(quern::notify::WebhookChannel(http, {}));
  }

  void add_to(quern::JobService<>& service) {
    quern::digest::GitHubOptions github;
    if (const char* token = std::getenv("GITHUB_TOKEN"); token != nullptr) github.token = token;
    service.handlers().on<quern::digest::DigestJob>(
        quern::digest::DigestHandler({.records = service.queue().core().storage(),
                                      .artifacts = artifacts,
                                      .http = http,
                                      .github = github}));
    service.handlers().on<quern::notify::NotifyJob>(
        quern::notify::NotificationHandler(
            channels,
            [this](std::string_view owner, std::string_view name) { return artifacts.get(owner, name); }, {}),
        quern::notify::NotificationHandler::options());
  }

  quern::FileArtifactStore artifacts;
  quern::CurlTransport http;
  std::shared_ptr<quern::notify::ChannelSet> channels = std::make_shared<quern::notify::ChannelSet>();
};

int run(const Arguments& arguments) {
  const Config config = read(arguments);
  Handlers handlers(config.data);
  quern::JobService service{config.service};
  quern::http::ApiServer server{service, config.http};
  handlers.add_to(service);
  quern::http::mount_digests(
      server.router(), service.queue().core().storage(),
      [&](std::string_view id, std::string_view name) { return handlers.artifacts.get(id, name); });

  if (!arguments.new_key.empty()) {
    const quern::http::Caller console{.name = "console", .via = "console", .scope = {.permissions = {"*"}}};
    const auto key = server.keys().create({.name = arguments.new_key, .role = arguments.role}, console);
    std::cout << key.secret.reveal() << '\n';
    return 0;
  }

  std::promise<void> told;
  std::once_flag once;
  const StopSignals signals([&] { std::call_once(once, [&] { told.set_value(); }); });
  if (arguments.sample) add_sample_handlers(service.handlers());
  service.start();
  if (arguments.sample) add_sample_schedules(service.scheduler());
  server.start();
  std::cout << "quern is at " << server.url() << std::endl;
  told.get_future().wait();
  server.stop();
  service.stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const quern::InvalidArgument& e) {
    std::cerr << e.what() << '\n';
    return 2;
  } catch (const quern::ConfigError& e) {
    std::cerr << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
