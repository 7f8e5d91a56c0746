#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/detail/crash_point.hpp"
#include "quern/core/error.hpp"
#include "quern/handlers/notify/channel.hpp"
#include "quern/handlers/notify/console_channel.hpp"
#include "quern/handlers/notify/file_channel.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace quern::notify;
using nlohmann::json;
using quern_test::read_text;
using quern_test::TempFolder;

namespace {

const Attempt attempt{.now = quern::parse_rfc3339("2025-01-10T12:00:00Z")};

Notification digest(const std::string& id = "42-ada") {
  return {.id = id,
          .topic = "digest.ready",
          .subject = "acme/mill: May 2024",
          .text = "Two lines\nof text.",
          .html = "<p>Two</p>",
          .url = "file:///tmp/digest.html",
          .data = R"({"job": "42"})"};
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

// A user's own channel.
struct Pager {
  std::vector<std::string>* log;
  [[nodiscard]] static std::vector<std::string> schemes() { return {"pager"}; }
  Delivery deliver(const std::string& recipient, const Notification& notification, const Attempt&) const {
    if (recipient == "pager:broken") throw quern::StorageError("no paper", true);
    if (recipient == "pager:gone") throw quern::StorageError("burnt down", false);
    if (recipient == "pager:wrong") throw quern::InvalidArgument("recipient", "is no number");
    log->push_back(recipient + " " + notification.id);
    return Delivery::delivered("paged");
  }
};

std::vector<std::string> crash_points_passed;

}  // namespace

TEST_CASE("a channel is found by the recipient's scheme", "[notify]") {
  std::vector<std::string> log;
  ChannelSet channels;
  channels.add(Pager{&log});
  CHECK(channels.deliver("PAGER:1", digest(), attempt).outcome == Outcome::delivered);
  CHECK(log == std::vector<std::string>{"PAGER:1 42-ada"});
  CHECK(channels.serves("pager:1"));
  for (const char* other : {"mailto:a@b", "", "pager", "console:", ":"}) {
    INFO(other);
    CHECK_FALSE(channels.serves(other));
    CHECK(channels.deliver(other, digest(), attempt).outcome == Outcome::permanent);
  }
  SECTION("and what it throws is an answer") {
    CHECK(channels.deliver("pager:broken", digest(), attempt).outcome == Outcome::retry);
    CHECK(channels.deliver("pager:gone", digest(), attempt).outcome == Outcome::permanent);
    CHECK(channels.deliver("pager:wrong", digest(), attempt).outcome == Outcome::permanent);
  }
  SECTION("with the crash points before and after") {
    crash_points_passed.clear();
    quern::detail::crash_hook = [](const char* name) noexcept { crash_points_passed.emplace_back(name); };
    static_cast<void>(channels.deliver("pager:1", digest(), attempt));
    quern::detail::crash_hook = nullptr;
    CHECK(crash_points_passed == std::vector<std::string>{"notify.before", "notify.after"});
  }
}

TEST_CASE("a notification without a usable id is refused", "[notify]") {
  const ChannelSet channels;
  for (const std::string& id : {std::string(), std::string("a.b"), std::string("a b"), std::string("a\n"),
                                std::string(257, 'a'), std::string("\xC3\xBC"), std::string("a\0b", 3)})
    CHECK_THROWS_AS(channels.deliver("console:", digest(id), attempt), quern::InvalidArgument);
}

TEST_CASE("the console gets one block without control characters", "[notify]") {
  std::ostringstream out;
  ConsoleChannel console(out);
  auto notification = digest();
  notification.subject = "evil \x1b[2J title\nsecond";
  notification.text = "red \x1b[31m text\nnext\rline";
  CHECK(console.deliver("console:", notification, attempt).outcome == Outcome::delivered);
  CHECK(out.str() == "\n== evil [2J title second ==\nred  [31m text\nnext line\nfile:///tmp/digest.html\n");

  SECTION("and a stream that fails is worth a retry") {
    out.setstate(std::ios::badbit);
    CHECK(console.deliver("console:", digest(), attempt).outcome == Outcome::retry);
  }
  SECTION("also through a FILE") {
    const TempFolder folder;
    std::FILE* file = std::fopen((folder / "out").c_str(), "w");
    REQUIRE(file != nullptr);
    ConsoleChannel to_file(file);
    CHECK(to_file.deliver("console:", digest(), attempt).outcome == Outcome::delivered);
    CHECK(read_text(folder / "out").starts_with("\n== acme/mill: May 2024 ==\n"));
    std::fclose(file);
  }
}

TEST_CASE("a notification is written to a file once", "[notify]") {
  const TempFolder folder;
  FileChannel channel;
  const std::string recipient = "file:" + (folder / "out" / "box").string();
  const auto first = channel.deliver(recipient, digest(), attempt);
  CHECK(first.outcome == Outcome::delivered);
  const auto path = folder / "out" / "box" / FileChannel::file_name("42-ada");
  CHECK(first.detail == "written to " + path.string());
  const json content = json::parse(read_text(path));
  CHECK(content["id"] == "42-ada");
  CHECK(content["text"] == "Two lines\nof text.");
  CHECK(content["data"]["job"] == "42");

  auto changed = digest();
  changed.text = "other";
  const auto second = channel.deliver(recipient, changed, attempt);
  CHECK(second.outcome == Outcome::delivered);
  CHECK(second.detail == "was there already: " + path.string());
  CHECK(json::parse(read_text(path)) == content);
  CHECK(files_in(folder / "out" / "box") == 1);

  CHECK(channel.deliver("file://" + (folder / "out" / "box").string(), digest("43"), attempt).outcome ==
        Outcome::delivered);
  CHECK(channel.deliver("file://localhost" + (folder / "out" / "box").string() + "/", digest("44"), attempt)
            .outcome == Outcome::delivered);
  CHECK(files_in(folder / "out" / "box") == 3);
}

TEST_CASE("ids that differ make files that differ whatever is in them", "[notify]") {
  const TempFolder folder;
  FileChannel channel;
  for (const char* id : {"../../evil", "/etc/passwd", "a/b", "A", "a", "CON", "%2e%2e", "-rf"})
    CHECK(channel.deliver("file:" + folder.path().string(), digest(id), attempt).outcome ==
          Outcome::delivered);
  CHECK(files_in(folder.path()) == 8);
}

TEST_CASE("writers at the same time deliver one file", "[notify]") {
  const TempFolder folder;
  std::vector<std::thread> threads;
  std::vector<std::string> details(4);
  for (std::size_t i = 0; i < details.size(); ++i)
    threads.emplace_back([&, i] {
      FileChannel channel;
      auto notification = digest();
      notification.text = std::string(100'000, static_cast<char>('a' + i));
      details[i] = channel.deliver("file:" + folder.path().string(), notification, attempt).detail;
    });
  for (auto& thread : threads) thread.join();
  CHECK(std::ranges::count_if(details, [](const std::string& d) { return d.starts_with("written to"); }) ==
        1);
  CHECK(files_in(folder.path()) == 1);
  const auto text =
      json::parse(read_text(folder / FileChannel::file_name("42-ada")))["text"].get<std::string>();
  CHECK(text == std::string(100'000, text[0]));
}

TEST_CASE("a folder outside of the allowed one is refused", "[notify]") {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "allowed");
  std::filesystem::create_directories(folder / "other");
  std::filesystem::create_directory_symlink(folder / "other", folder / "allowed" / "link");
  ChannelSet channels;
  channels.add(FileChannel({.root = folder / "allowed"}));
  const auto outcome = [&](const std::string& path) {
    return channels.deliver("file:" + path, digest(), attempt).outcome;
  };
  CHECK(outcome((folder / "allowed").string()) == Outcome::delivered);
  CHECK(outcome((folder / "allowed" / "a" / "b").string()) == Outcome::delivered);
  CHECK(outcome((folder / "other").string()) == Outcome::permanent);
  CHECK(outcome((folder / "allowed" / ".." / "other").string()) == Outcome::permanent);
  CHECK(outcome((folder / "allowed" / "link").string()) == Outcome::permanent);
  CHECK(outcome((folder / "allowed-not").string()) == Outcome::permanent);
  CHECK(outcome("/") == Outcome::permanent);
  CHECK(outcome("") == Outcome::permanent);
  CHECK(outcome("//host/share") == Outcome::permanent);
  CHECK(std::filesystem::is_empty(folder / "other"));
}
