#include "quern/http/event_stream.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/error.hpp"
#include "support/catch.hpp"

using namespace quern::http;

namespace {

const quern::ManualClock at_second(quern::from_us(1'000'000));

/// A subscriber without a connection.
class Listener {
 public:
  Listener(EventStream& events, std::optional<std::uint64_t> last_seen = std::nullopt,
           EventStream::Filter filter = {})
      : Listener(events, last_seen ? std::to_string(*last_seen) : "", std::move(filter)) {}
  Listener(EventStream& events, const std::string& last_seen, EventStream::Filter filter = {}) {
    Request request;
    if (!last_seen.empty()) request.headers.set("Last-Event-ID", last_seen);
    answer = events.subscribe(request, std::move(filter));
    if (answer.stream) answer.stream->start([this] { ++woken; });
  }
  ~Listener() { leave(); }
  void leave() {
    if (answer.stream) answer.stream->stop();
    answer.stream.reset();
  }
  /// All that there is; "END" at the end.
  std::string read(std::size_t most = 1 << 20) {
    const auto piece = answer.stream->read(most);
    return piece ? *piece : "END";
  }

  Response answer;
  std::atomic<int> woken = 0;
};

std::string event(std::uint64_t id, const std::string& name, const std::string& data) {
  return "id: " + std::to_string(id) + "\nevent: " + name + "\ndata: " + data + "\n\n";
}

std::string gap(const std::string& lost) { return "event: gap\ndata: {\"lost\":" + lost + "}\n\n"; }

}  // namespace

TEST_CASE("listeners get events as they are published, with ids that grow from the clock's time",
          "[http][events]") {
  EventStream events({}, at_second);
  Listener one(events);
  Listener two(events);
  CHECK(one.answer.headers.find("Content-Type") == "text/event-stream");
  CHECK(one.answer.headers.find("Cache-Control") == "no-store");
  CHECK(one.read() == "retry: 2000\nid: 1000000\n\n");
  CHECK(events.publish("job.added", R"({"id":"1"})") == 1'000'001);
  CHECK(events.publish("job.ended", "{}") == 1'000'002);
  const std::string both =
      event(1'000'001, "job.added", R"({"id":"1"})") + event(1'000'002, "job.ended", "{}");
  CHECK(one.read() == both);
  CHECK(two.read() == "retry: 2000\nid: 1000000\n\n" + both);
  CHECK(one.read().empty());
}

TEST_CASE("data of several lines stays one event, whatever ends its lines", "[http][events]") {
  CHECK(to_text(StreamEvent{.name = "a", .data = "1\n2\r\n3\r4\n\nid: 9", .id = 7}) ==
        "id: 7\nevent: a\ndata: 1\ndata: 2\ndata: 3\ndata: 4\ndata: \ndata: id: 9\n\n");
  CHECK(to_text(StreamEvent{.name = "a", .data = "", .id = 7}) == "id: 7\nevent: a\ndata: \n\n");
  CHECK(to_text(StreamEvent{.name = "a", .data = "x\n", .id = 7}) == "id: 7\nevent: a\ndata: x\ndata: \n\n");
}

TEST_CASE("a name that could become another event is refused", "[http][events]") {
  EventStream events({}, at_second);
  for (const char* name : {"", "a\nb", "a\rdata: x", "\x1b", "\xFF"})
    CHECK_THROWS_AS(events.publish(name, "{}"), quern::InvalidArgument);
  CHECK_THROWS_AS(events.publish(std::string(129, 'a'), "{}"), quern::InvalidArgument);
  CHECK_THROWS_AS(events.publish("a", "\xC0\xAF"), quern::InvalidArgument);
  CHECK(events.publish("a", "{}") == 1'000'001);
}

TEST_CASE("a listener sees what its filter lets through, and one whose filter throws sees nothing",
          "[http][events]") {
  EventStream events({}, at_second);
  Listener acme(events, std::nullopt, [](const StreamEvent& seen) { return seen.tenant == "acme"; });
  Listener broken(events, std::nullopt, [](const StreamEvent&) -> bool { throw std::runtime_error("no"); });
  Listener all(events);
  for (Listener* listener : {&acme, &broken, &all}) static_cast<void>(listener->read());
  events.publish({.name = "a", .data = "1", .tenant = "acme"});
  events.publish({.name = "a", .data = "2", .tenant = "other"});
  CHECK(acme.read() == event(1'000'001, "a", "1"));
  CHECK(broken.read().empty());
  CHECK(all.read() == event(1'000'001, "a", "1") + event(1'000'002, "a", "2"));
}

TEST_CASE("a client that comes back is told what it has missed, as its filter says", "[http][events]") {
  EventStream events({}, at_second);
  for (int i = 1; i <= 5; ++i)
    events.publish({.name = "a", .data = std::to_string(i), .tenant = i % 2 == 0 ? "even" : "odd"});
  Listener back(events, 1'000'003);
  CHECK(back.read() == "retry: 2000\n\n" + event(1'000'004, "a", "4") + event(1'000'005, "a", "5"));
  Listener odd(events, 1'000'002, [](const StreamEvent& seen) { return seen.tenant == "odd"; });
  CHECK(odd.read() == "retry: 2000\n\n" + event(1'000'003, "a", "3") + event(1'000'005, "a", "5"));
  Listener complete(events, 1'000'005);
  CHECK(complete.read() == "retry: 2000\n\n");
  Listener from_the_start(events, 1'000'000);
  CHECK(from_the_start.read().find(event(1'000'001, "a", "1")) != std::string::npos);
  // It may see none of what it has missed, and need not be asked about it again.
  Listener none(events, 1'000'001, [](const StreamEvent&) { return false; });
  CHECK(none.read() == "retry: 2000\n\nid: 1000005\n\n");
}

TEST_CASE("a client that has missed what is no longer kept is told that there is a gap", "[http][events]") {
  EventStream events({.kept = 3}, at_second);
  for (int i = 1; i <= 5; ++i) events.publish("a", std::to_string(i));
  const std::string kept =
      event(1'000'003, "a", "3") + event(1'000'004, "a", "4") + event(1'000'005, "a", "5");
  Listener just(events, 1'000'002);
  CHECK(just.read() == "retry: 2000\n\n" + kept);
  // Of an earlier run, of a later one, or of somebody else.
  for (const char* last :
       {"1000001", "17", "9999999999", "abc", "-1", "1000004x", "99999999999999999999999"}) {
    Listener late(events, std::string(last));
    CHECK(late.read() == "retry: 2000\n\n" + gap("null") + kept);
  }
  EventStream restarted({}, at_second);
  Listener stale(restarted, 5);
  CHECK(stale.read() == "retry: 2000\n\n" + gap("null") + "id: 1000000\n\n");
}

TEST_CASE("what is kept is bounded in bytes as well", "[http][events]") {
  EventStream events({.kept_bytes = 300}, at_second);
  for (int i = 0; i < 10; ++i) events.publish("a", std::string(100, 'x'));
  Listener late(events, 1'000'000);
  const std::string text = late.read();
  CHECK(text.find(gap("null")) != std::string::npos);
  CHECK(text.size() < 400);
  // One that is larger than all of it still reaches who listens.
  events.publish("large", std::string(1000, 'y'));
  CHECK(late.read().find(std::string(1000, 'y')) != std::string::npos);
}

TEST_CASE("a listener that is too slow loses the oldest events and is told how many, while others lose none",
          "[http][events]") {
  EventStream events({.waiting = 3}, at_second);
  Listener slow(events);
  Listener quick(events);
  static_cast<void>(slow.read());
  static_cast<void>(quick.read());
  for (int i = 1; i <= 10; ++i) {
    events.publish("a", std::to_string(i));
    CHECK(quick.read() == event(1'000'000 + static_cast<std::uint64_t>(i), "a", std::to_string(i)));
  }
  CHECK(slow.read() ==
        gap("7") + event(1'000'008, "a", "8") + event(1'000'009, "a", "9") + event(1'000'010, "a", "10"));
  events.publish("a", "11");
  CHECK(slow.read() == event(1'000'011, "a", "11"));

  EventStream bytes({.waiting_bytes = 300}, at_second);
  Listener heavy(bytes);
  static_cast<void>(heavy.read());
  for (int i = 0; i < 10; ++i) bytes.publish("a", std::string(100, 'x'));
  CHECK(heavy.read().starts_with(gap("8")));
}

TEST_CASE("only what a listener may see counts as lost to it", "[http][events]") {
  EventStream events({.waiting = 2}, at_second);
  Listener mine(events, std::nullopt, [](const StreamEvent& seen) { return seen.tenant == "mine"; });
  static_cast<void>(mine.read());
  for (int i = 0; i < 100; ++i) events.publish({.name = "a", .data = "x", .tenant = "other"});
  for (int i = 0; i < 3; ++i) events.publish({.name = "a", .data = "y", .tenant = "mine"});
  CHECK(mine.read().starts_with(gap("1")));
}

TEST_CASE("a listener that sees nothing of many events can come back without a gap", "[http][events]") {
  EventStream events({.kept = 100}, at_second);
  std::uint64_t known = 0;
  {
    Listener blind(events, std::nullopt, [](const StreamEvent&) { return false; });
    static_cast<void>(blind.read());
    for (int i = 0; i < 1000; ++i) {
      events.publish("a", "x");
      const std::string text = blind.read();
      if (text.starts_with("id: ")) known = std::stoull(text.substr(4));
    }
  }
  Listener back(events, known, [](const StreamEvent&) { return false; });
  CHECK(back.read().find("gap") == std::string::npos);
}

TEST_CASE("events are handed out whole, and as many as there is room for", "[http][events]") {
  EventStream events({}, at_second);
  Listener listener(events);
  static_cast<void>(listener.read());
  for (int i = 1; i <= 4; ++i) events.publish("a", std::to_string(i));
  CHECK(listener.read(1) == event(1'000'001, "a", "1"));
  CHECK(listener.read(40) == event(1'000'002, "a", "2") + event(1'000'003, "a", "3"));
  CHECK(listener.read(1000) == event(1'000'004, "a", "4"));
}

TEST_CASE("a listener is woken once until it has read all", "[http][events]") {
  EventStream events({}, at_second);
  Listener listener(events);
  CHECK(listener.woken == 0);
  static_cast<void>(listener.read());
  events.publish("a", "1");
  CHECK(listener.woken == 0);  // it has not yet said that there was nothing left
  static_cast<void>(listener.read());
  CHECK(listener.read().empty());
  events.publish("a", "2");
  events.publish("a", "3");
  CHECK(listener.woken == 1);
  static_cast<void>(listener.read());
  CHECK(listener.read().empty());
  listener.answer.stream->stop();
  events.publish("a", "4");
  CHECK(listener.woken == 1);
}

TEST_CASE("closing ends every stream after what it still has to say", "[http][events]") {
  EventStream events({}, at_second);
  Listener listener(events);
  static_cast<void>(listener.read());
  CHECK(listener.read().empty());
  events.close();
  CHECK(listener.woken == 1);
  CHECK(listener.read() == "END");
  Listener late(events);
  CHECK(late.answer.status == 503);
  CHECK_FALSE(late.answer.stream);

  auto gone = std::make_unique<EventStream>(EventStreamOptions{}, at_second);
  Listener last(*gone);
  gone->publish("a", "1");
  gone.reset();
  CHECK(last.read().find("event: a") != std::string::npos);
  CHECK(last.read() == "END");
}

TEST_CASE("there are so many listeners and no more, until one leaves", "[http][events]") {
  EventStream events({.subscribers = 2}, at_second);
  Listener one(events);
  Listener two(events);
  CHECK(events.subscribers() == 2);
  CHECK(Listener(events).answer.status == 503);
  two.leave();
  CHECK(events.subscribers() == 1);
  CHECK(Listener(events).answer.status == 200);
}

TEST_CASE("limits of nothing are refused", "[http][events]") {
  CHECK_THROWS_AS(EventStream({.kept = 0}), quern::InvalidArgument);
  CHECK_THROWS_AS(EventStream({.waiting_bytes = 0}), quern::InvalidArgument);
  CHECK_THROWS_AS(EventStream({.retry = std::chrono::milliseconds(-1)}), quern::InvalidArgument);
}

TEST_CASE("events from many threads come to each listener in the order of their ids", "[http][events]") {
  EventStream events({}, at_second);
  Listener listener(events);
  static_cast<void>(listener.read());
  std::vector<std::jthread> publishers;
  for (int t = 0; t < 4; ++t)
    publishers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) events.publish("a", "x");
    });
  std::string all;
  while (all.find("id: 1000800\n") == std::string::npos) all += listener.read();
  publishers.clear();
  std::string expected;
  for (std::uint64_t id = 1'000'001; id <= 1'000'800; ++id) expected += event(id, "a", "x");
  CHECK(all == expected);
}
