#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quern/core/time.hpp"
#include "quern/handlers/notify/notification.hpp"

namespace quern::inline v1::notify {

/// What became of one attempt to deliver.
enum class Outcome : std::uint8_t {
  delivered,  ///< It is there, by this attempt or by an earlier one.
  retry,      ///< It may work later.
  permanent,  ///< It will not work, however often it is tried.
};

/// The answer of a channel.
struct Delivery {
  Outcome outcome = Outcome::delivered;
  Duration wait{0};      ///< With `retry`: how long the receiver asks to wait; 0: the usual backoff.
  std::string detail{};  ///< For people: what happened. Names no secret.
  bool gone =
      false;  ///< With `permanent`: the receiver wants nothing any more (410); better forget the recipient.

  [[nodiscard]] static Delivery delivered(std::string detail) { return {.detail = std::move(detail)}; }
  [[nodiscard]] static Delivery retry(std::string detail, Duration wait = Duration{0}) {
    return {.outcome = Outcome::retry, .wait = wait, .detail = std::move(detail)};
  }
  [[nodiscard]] static Delivery permanent(std::string detail, bool gone = false) {
    return {.outcome = Outcome::permanent, .detail = std::move(detail), .gone = gone};
  }
};

/// What a channel is told about the attempt.
struct Attempt {
  TimePoint now{};         ///< When it is made.
  std::stop_token stop{};  ///< Ends it early; the answer is then `retry`.
};

/// A way to reach recipients, who are named by a URI: "console:", "file:/var/spool/digests", "https://...".
///
/// Repeats   may be handed the same notification again, after a crash or an answer that got lost: with the
///           same id it delivers once where its medium allows that, and says so in its documentation where
///           not.
/// Threads   `deliver` may be called from several threads at once.
/// Errors    everyday failures are the Delivery; an InvalidArgument counts as permanent, a StorageError as
///           what it says of itself.
template <class C>
concept Channel = requires(C& channel, const std::string& recipient, const Notification& notification,
                           const Attempt& attempt) {
  // The URI schemes it serves, in lower case without colon.
  { channel.schemes() } -> std::convertible_to<std::vector<std::string>>;
  { channel.deliver(recipient, notification, attempt) } -> std::same_as<Delivery>;
};

/// The channels of a program, found by the recipient's scheme.
/// Threads: `deliver` from several threads at once; `add` before that.
class ChannelSet {
 public:
  /// Adds a channel for its schemes, in place of an earlier one for the same.
  template <Channel C>
  void add(C channel) {
    auto held = std::make_shared<Held<C>>(std::move(channel));
    for (auto& scheme : held->channel.schemes()) by_scheme_[std::string(scheme)] = held;
  }

  /// Delivers by the channel of the recipient's scheme. Throws InvalidArgument for a notification whose id is
  /// not as it should be; what else goes wrong is in the answer. Crash points: "notify.before",
  /// "notify.after".
  [[nodiscard]] Delivery deliver(const std::string& recipient, const Notification& notification,
                                 const Attempt& attempt) const;

  /// Whether there is a channel for this recipient; to refuse a wrong one before a job is made for it.
  [[nodiscard]] bool serves(std::string_view recipient) const;
  /// All schemes served, sorted.
  [[nodiscard]] std::vector<std::string> schemes() const;

 private:
  struct Base {
    virtual ~Base() = default;
    virtual Delivery deliver(const std::string&, const Notification&, const Attempt&) = 0;
  };
  template <class C>
  struct Held final : Base {
    explicit Held(C&& c) : channel(std::move(c)) {}
    Delivery deliver(const std::string& recipient, const Notification& n, const Attempt& attempt) override {
      return channel.deliver(recipient, n, attempt);
    }
    C channel;
  };

  std::map<std::string, std::shared_ptr<Base>, std::less<>> by_scheme_;
};

}  // namespace quern::inline v1::notify
