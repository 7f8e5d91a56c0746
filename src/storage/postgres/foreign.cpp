#include <algorithm>

#include "storage/postgres/impl.hpp"

namespace quern::inline v1 {
namespace {

const postgres::Statement others{"SELECT * FROM @.others($1, $2::text::pg_snapshot)"};

}  // namespace

std::uint64_t PostgresStorage::Impl::foreign_changes() {
  // A change is kept for longer than this, so who asks more often misses none.
  constexpr Duration kept = std::chrono::seconds(8);
  constexpr Duration pause_while_listening = std::chrono::seconds(1);
  const std::unique_lock lock(changes_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) {
    const std::lock_guard waited(changes_mutex_);
    return changes_seen_ + changes_heard_;
  }
  const SteadyTime now = SystemClock().steady();
  const Duration since = now - looked_at_;
  Duration pause = options_.change_poll;
  // What nobody waited for is not heard.
  if (watches_foreign_changes()) pause = std::max(pause, pause_while_listening);
  if (pause > Duration::zero())
    pause +=
        Duration(static_cast<std::int64_t>(jitter_.below(static_cast<std::uint64_t>(pause.count() / 4 + 1))));
  if (since < pause) return changes_seen_ + changes_heard_;
  const bool first = looked_at_ == SteadyTime{};
  looked_at_ = now;
  try {
    const Result answer = read(others, Params().add(origin_).add_text(seen_snapshot_));
    seen_snapshot_ = answer.string(0, 0);
    if (answer.truth(0, 1) || (since > kept && !first)) ++changes_seen_;
  } catch (const StorageError& e) {
    if (!e.transient()) throw;  // else there is no news from a server that can't be asked
  }
  return changes_seen_ + changes_heard_;
}

std::shared_ptr<postgres::Listener> PostgresStorage::Impl::listener() const {
  const std::lock_guard lock(listener_mutex_);
  return listener_;
}

bool PostgresStorage::Impl::watches_foreign_changes() const {
  const auto current = listener();
  return current && current->listening();
}

void PostgresStorage::Impl::listen_if_wanted() {
  // A pooler gives each transaction another session, and a notification is for a session.
  if (!options_.listen || options_.pooled) return;
  const std::lock_guard one_at_a_time(listen_mutex_);
  bool wanted = false;
  {
    const std::lock_guard lock(observers_mutex_);
    wanted = std::ranges::any_of(
        observers_, [](const StorageObserver* observer) { return observer->wants_foreign_changes(); });
  }
  if (wanted == (listener() != nullptr)) return;
  std::shared_ptr<postgres::Listener> listener;
  if (wanted) listener = std::make_shared<postgres::Listener>(pool_.server(), origin_, [this] { hear(); });
  {
    const std::lock_guard lock(listener_mutex_);
    listener_.swap(listener);
  }
  // The one that ends does so here, without the lock: its thread may be about to tell.
}

void PostgresStorage::Impl::hear() noexcept {
  ++changes_heard_;
  const std::lock_guard lock(observers_mutex_);
  for (StorageObserver* const observer : observers_) {
    if (observer->wants_foreign_changes()) observer->on_foreign_change();
  }
}

}  // namespace quern::inline v1
