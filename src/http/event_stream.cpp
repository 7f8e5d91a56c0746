#include "quern/http/event_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {
namespace {

/// An event with its text, shared by all to whom it goes.
struct Told {
  StreamEvent event;
  std::string text;
};
using ToldPtr = std::shared_ptr<const Told>;

/// Events in a row, of which the oldest go when there are too many. The newest stays, however long it is.
class Row {
 public:
  Row(std::size_t events, std::size_t bytes) : events_(events), most_bytes_(bytes) {}

  /// How many had to go.
  std::uint64_t push(ToldPtr told) {
    bytes_ += told->text.size();
    all_.push_back(std::move(told));
    std::uint64_t gone = 0;
    for (; all_.size() > 1 && (all_.size() > events_ || bytes_ > most_bytes_); ++gone) pop();
    return gone;
  }
  void pop() {
    bytes_ -= all_.front()->text.size();
    all_.pop_front();
  }
  [[nodiscard]] const std::deque<ToldPtr>& all() const { return all_; }

 private:
  std::size_t events_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  std::deque<ToldPtr> all_;
};

std::string gap_text(std::optional<std::uint64_t> lost) {
  return lost ? fmt::format("event: gap\ndata: {{\"lost\":{}}}\n\n", *lost)
              : "event: gap\ndata: {\"lost\":null}\n\n";
}

/// A client keeps an id also of what has no data, and shows nothing.
std::string mark_text(std::uint64_t id) { return fmt::format("id: {}\n\n", id); }

}  // namespace

std::string to_text(const StreamEvent& event) {
  std::string text = fmt::format("id: {}\nevent: {}\n", event.id, event.name);
  std::string_view rest = event.data;
  for (;;) {
    const std::size_t end = rest.find_first_of("\r\n");
    text += "data: ";
    text += rest.substr(0, end);
    text += '\n';
    if (end == rest.npos) break;
    rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  text += '\n';
  return text;
}

struct EventStream::State {
  State(const EventStreamOptions& given, std::uint64_t first)
      : options(given), last_id(first), kept(given.kept, given.kept_bytes) {}

  const EventStreamOptions options;
  std::mutex mutex;
  std::uint64_t last_id;
  std::uint64_t forgotten = 0;  // the highest id that is kept no more
  Row kept;
  std::vector<Subscriber*> subscribers;  // each takes itself out
  bool closed = false;
};

/// All of it under the state's mutex.
class EventStream::Subscriber final : public ResponseStream {
 public:
  /// With the lock held.
  Subscriber(std::shared_ptr<State> state, Filter filter, std::optional<std::string_view> last_seen)
      : state_(std::move(state)),
        filter_(std::move(filter)),
        waiting_(state_->options.waiting, state_->options.waiting_bytes),
        told_(state_->last_id) {
    opening_ = fmt::format("retry: {}\n", state_->options.retry.count());
    resume(last_seen);
    state_->subscribers.push_back(this);
  }
  ~Subscriber() override {
    const std::lock_guard lock(state_->mutex);
    std::erase(state_->subscribers, this);
  }

  void start(std::function<void()> wake) override {
    const std::lock_guard lock(state_->mutex);
    wake_ = std::move(wake);
  }

  std::optional<std::string> read(std::size_t most) override {
    const std::lock_guard lock(state_->mutex);
    std::string text = std::exchange(opening_, {});
    if (unknown_gap_) text += gap_text(std::nullopt);
    if (lost_ > 0) text += gap_text(lost_);
    unknown_gap_ = false;
    lost_ = 0;
    while (!waiting_.all().empty() && text.size() < most) {
      const ToldPtr& next = waiting_.all().front();
      told_ = next->event.id;
      text += next->text;
      waiting_.pop();
    }
    if (waiting_.all().empty() && mark_ > told_) {
      told_ = mark_;
      text += mark_text(mark_);
    }
    if (text.empty() && state_->closed) return std::nullopt;
    asleep_ = text.empty();
    return text;
  }

  void stop() noexcept override {
    const std::lock_guard lock(state_->mutex);
    wake_ = nullptr;
    asleep_ = false;
  }

  void offer(const ToldPtr& told) {
    if (sees(told->event)) {
      lost_ += waiting_.push(told);
    } else {
      // Else its id would leave what is kept, and a client that has missed nothing would be told that it has.
      if (told->event.id - std::max(told_, mark_) < state_->options.kept / 4 + 1) return;
      mark_ = told->event.id;
    }
    ring();
  }

  void ring() {
    if (!std::exchange(asleep_, false) || !wake_) return;
    wake_();
  }

 private:
  /// A filter that throws lets nothing through: the others are not to miss the event for it.
  [[nodiscard]] bool sees(const StreamEvent& event) const noexcept {
    try {
      return !filter_ || filter_(event);
    } catch (...) {
      return false;
    }
  }

  void resume(std::optional<std::string_view> last_seen) {
    if (!last_seen) {
      // So that it can come back to here even if it has seen nothing.
      opening_ += mark_text(told_);
      return;
    }
    opening_ += '\n';
    std::uint64_t id = 0;
    const auto parsed = std::from_chars(last_seen->data(), last_seen->data() + last_seen->size(), id);
    const bool known = parsed.ec == std::errc{} && parsed.ptr == last_seen->data() + last_seen->size() &&
                       id >= state_->forgotten && id <= state_->last_id;
    unknown_gap_ = !known;
    told_ = known ? id : 0;
    for (const ToldPtr& told : state_->kept.all())
      if ((!known || told->event.id > id) && sees(told->event)) lost_ += waiting_.push(told);
    if (waiting_.all().empty()) mark_ = state_->last_id;
  }

  const std::shared_ptr<State> state_;
  const Filter filter_;
  std::function<void()> wake_{};
  std::string opening_;
  Row waiting_;
  std::uint64_t lost_ = 0;
  bool unknown_gap_ = false;
  std::uint64_t told_;      // the last id that the client knows
  std::uint64_t mark_ = 0;  // one that it should know, though it may see no event of it
  bool asleep_ = false;     // has read all, and waits to be woken
};

EventStream::EventStream(EventStreamOptions options, ClockRef clock) {
  for (const auto& [name, value] :
       {std::pair{"kept", options.kept}, std::pair{"kept_bytes", options.kept_bytes},
        std::pair{"waiting", options.waiting}, std::pair{"waiting_bytes", options.waiting_bytes},
        std::pair{"subscribers", options.subscribers}})
    if (value == 0) throw InvalidArgument(name, "must be at least 1");
  if (options.retry.count() < 0) throw InvalidArgument("retry", "must not be negative");
  const auto first = static_cast<std::uint64_t>(std::max<std::int64_t>(to_us(clock.now()), 1));
  state_ = std::make_shared<State>(options, first);
  state_->forgotten = first;
}

EventStream::~EventStream() { close(); }

std::uint64_t EventStream::publish(StreamEvent event) {
  if (event.name.empty()) throw InvalidArgument("name", "is empty");
  check_text(event.name, "name", 128);
  if (!is_utf8(event.data)) throw InvalidArgument("data", "is not UTF-8");
  auto told = std::make_shared<Told>();
  told->event = std::move(event);
  const std::lock_guard lock(state_->mutex);
  told->event.id = state_->last_id + 1;
  told->text = to_text(told->event);
  state_->last_id = told->event.id;
  const std::uint64_t gone = state_->kept.push(told);
  if (gone > 0) state_->forgotten = state_->kept.all().front()->event.id - 1;
  for (Subscriber* const subscriber : state_->subscribers) subscriber->offer(told);
  return state_->last_id;
}

std::uint64_t EventStream::publish(std::string_view name, std::string_view data) {
  return publish(StreamEvent{.name = std::string(name), .data = std::string(data)});
}

Response EventStream::subscribe(const Request& request, Filter filter) {
  Response response;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->closed && state_->subscribers.size() < state_->options.subscribers)
      response.stream =
          std::make_shared<Subscriber>(state_, std::move(filter), request.headers.find("Last-Event-ID"));
  }
  if (!response.stream) {
    Problem busy{.status = 503, .name = "busy", .detail = "as many listen to events as may"};
    busy.headers.set("Retry-After", "5");
    return to_response(busy);
  }
  response.headers.set("Content-Type", "text/event-stream");
  response.headers.set("Cache-Control", "no-store");
  return response;
}

void EventStream::close() noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->closed = true;
  for (Subscriber* const subscriber : state_->subscribers) subscriber->ring();
}

std::size_t EventStream::subscribers() const {
  const std::lock_guard lock(state_->mutex);
  return state_->subscribers.size();
}

}  // namespace quern::inline v1::http
