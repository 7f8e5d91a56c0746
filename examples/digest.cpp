// quern-digest: writes a digest of a repository's activity and has it delivered, by jobs that survive a kill
// -9.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <quern/handlers/curl_transport.hpp>
#include <quern/handlers/digest/digest_handler.hpp>
#include <quern/handlers/notify/console_channel.hpp>
#include <quern/handlers/notify/file_channel.hpp>
#include <quern/handlers/notify/notification_handler.hpp>
#include <quern/handlers/notify/webhook_channel.hpp>
#include <quern/quern.hpp>
#include <quern/sqlite.hpp>
#include <set>

#include "support/progress_bar.hpp"
#include "support/stop_signals.hpp"

namespace {

using namespace std::chrono_literals;
namespace digest = quern::digest;
namespace notify = quern::notify;

constexpr const char* usage = R"(quern-digest: a digest of a repository's activity

  quern-digest                      of the git clone you stand in
  quern-digest --clone PATH         of another clone
  quern-digest --repo OWNER/NAME    of a repository on GitHub (a token in GITHUB_TOKEN raises its limits)

  --since TIME, --until TIME        2026-01-31 or 2026-01-31T08:00:00Z; by default since the last digest,
                                    or the last 30 days, until now
  --label NAME, --author NAME       only these (may be repeated)   --exclude-bots   without bots
  --notify URI                      who is told (may be repeated): file:FOLDER, console:, https://...
                                    by default a file in the data folder's outbox
  --data FOLDER                     where the database and the files are
  --api URL                         another GitHub API, such as https://HOST/api/v3
  --allow-private-webhooks          also deliver to addresses of this machine and of private networks

What was begun is kept in the database: after a kill or a crash, the same command goes on where it was.
)";

struct Arguments {
  digest::DigestJob job{.source = "clone", .repository = "."};
  std::filesystem::path data{};
  std::string api = "https://api.github.com";
  bool private_webhooks = false;
};

std::filesystem::path default_data() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/')
    return std::filesystem::path(state) / "quern-digest";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return std::filesystem::path(home) / ".local/state/quern-digest";
  return "quern-digest-data";
}

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
    if (words[i] == "--repo") {
      out.job.source = "github";
      out.job.repository = value();
    } else if (words[i] == "--clone") {
      out.job.source = "clone";
      out.job.repository = value();
    } else if (words[i] == "--since") {
      out.job.from = quern::parse_rfc3339(value());
    } else if (words[i] == "--until") {
      out.job.to = quern::parse_rfc3339(value());
    } else if (words[i] == "--label") {
      out.job.filters.labels.push_back(value());
    } else if (words[i] == "--author") {
      out.job.filters.authors.push_back(value());
    } else if (words[i] == "--exclude-bots") {
      out.job.filters.exclude_bots = true;
    } else if (words[i] == "--notify") {
      out.job.recipients.push_back(value());
    } else if (words[i] == "--data") {
      out.data = value();
    } else if (words[i] == "--api") {
      out.api = value();
    } else if (words[i] == "--allow-private-webhooks") {
      out.private_webhooks = true;
    } else {
      throw quern::InvalidArgument(words[i], "is not known; see --help");
    }
  }
  if (out.data.empty()) out.data = default_data();
  out.data = std::filesystem::absolute(out.data);
  if (out.job.source == "clone")
    out.job.repository =
        std::filesystem::weakly_canonical(std::filesystem::absolute(out.job.repository)).string();
  if (out.job.recipients.empty()) out.job.recipients.push_back("file:" + (out.data / "outbox").string());
  return out;
}

const std::vector<quern::JobState> unfinished{quern::JobState::blocked, quern::JobState::scheduled,
                                              quern::JobState::ready, quern::JobState::running};

template <class Queue>
std::vector<quern::Job> unfinished_jobs(Queue& queue, const std::string& tag) {
  return queue.list({.states = unfinished, .tag = tag, .oldest_first = true, .limit = 1000}).jobs;
}

/// Which digest a run without an end was about: its own job, or one whose notifications are still to be
/// delivered.
template <class Queue>
std::optional<quern::JobId> begun_before(Queue& queue, const std::string& tag) {
  for (const quern::Job& job : unfinished_jobs(queue, tag)) {
    if (job.kind == digest::DigestJob::kind) return job.id;
    if (const auto id = quern::parse_job_id(job.digest)) return id;
  }
  return std::nullopt;
}

int report(const quern::FileArtifactStore& artifacts, const Arguments& arguments, const quern::Job& job,
           const std::vector<quern::Job>& notices) {
  if (job.state != quern::JobState::completed) {
    std::cerr << "The digest was not made (" << to_string(job.state) << "): " << job.end_message << '\n';
    return 1;
  }
  const std::string id = to_string(job.id);
  std::cout << artifacts.get(id, "digest.md").value_or("(its files are gone)\n") << std::flush;
  std::cerr << "\nDatabase  " << (arguments.data / "quern.db").string() << "\nFiles     "
            << (arguments.data / "artifacts" / id).string() << " (digest.md, digest.html, digest.json)\n";
  int failures = 0;
  for (const quern::Job& notice : notices) {
    const bool delivered = notice.state == quern::JobState::completed;
    failures += delivered ? 0 : 1;
    std::cerr << (delivered ? "Notified  " : "FAILED    ")
              << notice.payload.as<nlohmann::json>().value("recipient", "")
              << (delivered ? "" : ": " + notice.end_message) << '\n';
  }
  return failures == 0 ? 0 : 1;
}

int run(const Arguments& arguments) {
  std::filesystem::create_directories(arguments.data);
  quern::SqliteStorage storage((arguments.data / "quern.db").string());
  quern::StorageAdapter<quern::SqliteStorage&> records(storage);
  quern::FileArtifactStore artifacts(arguments.data / "artifacts");
  quern::CurlTransport http;
  digest::GitHubOptions github{.base_url = arguments.api};
  if (const char* token = std::getenv("GITHUB_TOKEN"); token != nullptr) github.token = token;

  auto channels = std::make_shared<notify::ChannelSet>();
  channels->add(notify::ConsoleChannel());
  channels->add(notify::FileChannel());
  channels->add(notify::WebhookChannel(
      http, {.allow_private_addresses = arguments.private_webhooks, .allowed_ports = {}}));
  for (const std::string& recipient : arguments.job.recipients)
    if (!channels->serves(recipient))
      throw quern::InvalidArgument("--notify",
                                   "\"" + recipient + "\" is none of file:FOLDER, console:, https://...");

  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  handlers.on<digest::DigestJob>(
      digest::DigestHandler({.records = records, .artifacts = artifacts, .http = http, .github = github}));
  handlers.on<notify::NotifyJob>(
      notify::NotificationHandler(
          channels, [&](std::string_view owner, std::string_view name) { return artifacts.get(owner, name); },
          {}),
      notify::NotificationHandler::options());
  // A short lease: what a killed run held is taken over after some seconds.
  quern::Processor processor(queue, handlers, {.lease = 3s, .log = [](const quern::LogRecord& record) {
                                                 std::cerr << record.message << '\n';
                                               }});
  const StopSignals signals([&] { processor.request_stop({.wait = 0s, .grace = 5s}); });

  const std::string tag = (arguments.job.source + ":" + arguments.job.repository).substr(0, 200);
  quern::JobId id{};
  if (const auto begun = begun_before(queue, tag)) {
    id = *begun;
    std::cerr << "Going on with digest " << to_string(id) << ", which was begun before.\n";
  } else {
    id = queue.enqueue(arguments.job,
                       {.tags = {tag}, .created_by = "quern-digest", .unique = {.key = "digest:" + tag}});
  }

  ProgressBar bar;
  const auto shown = queue.subscribe([&](const quern::JobEvent& event) {
    if (event.id != id) return;
    if (event.type == quern::JobEventType::progress_updated)
      bar.show(event.progress.percent, event.progress.message);
    if (event.type == quern::JobEventType::failed || event.type == quern::JobEventType::snoozed) {
      bar.end();
      std::cerr << event.message << '\n';
    }
  });
  std::optional<quern::TimePoint> waits_until;
  processor.run_until([&] {
    waits_until.reset();
    const auto left = unfinished_jobs(queue, tag);
    for (const quern::Job& job : left)
      if (job.state == quern::JobState::scheduled && job.run_at > quern::SystemClock().now() + 2min)
        waits_until = job.run_at;
    return left.empty() || (waits_until && left.size() == 1);
  });
  processor.stop({.wait = 0s, .grace = 5s});
  (void)shown.wait_delivered(1s);
  bar.end();

  const auto job = queue.find(id);
  if (!job) throw quern::Error("job " + to_string(id) + " is gone");
  if (waits_until) {
    std::cerr << "It is to go on at " << quern::to_rfc3339(*waits_until)
              << "; run the same command again then.\n";
    return 75;
  }
  if (!is_terminal(job->state)) {
    std::cerr << "Stopped; run the same command again to go on.\n";
    return 130;
  }
  std::vector<quern::Job> notices;
  for (quern::Job& notice :
       queue.list({.kind = std::string(notify::NotifyJob::kind), .tag = tag, .limit = 1000}).jobs)
    if (notice.digest == to_string(id)) notices.push_back(std::move(notice));
  return report(artifacts, arguments, *job, notices);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const quern::InvalidArgument& e) {
    std::cerr << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
