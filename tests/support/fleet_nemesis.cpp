// Empty where quern is built without PostgreSQL.
#if defined(QUERN_TEST_POSTGRES)
#include "support/fleet_nemesis.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace quern_test {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Traffic = LoopbackProxy::Traffic;

constexpr auto for_ever = steady_clock::time_point::max();

/// The pauses between two steps are the faults' lengths, and how often somebody looks.
void wait_until(steady_clock::time_point when) {
  const auto left = std::chrono::ceil<milliseconds>(when - steady_clock::now());
  if (left > 0ms) ::poll(nullptr, 0, static_cast<int>(left.count()));
}

}  // namespace

Nemesis::Nemesis(Fleet& fleet, std::uint64_t seed, milliseconds longest_pause)
    : fleet_(fleet),
      random_(seed),
      longest_pause_(longest_pause),
      next_(steady_clock::now() + longest_pause),
      paused_until_(fleet.workers().size(), for_ever),
      disturbed_until_(fleet.proxies().size(), for_ever) {}

milliseconds Nemesis::up_to(milliseconds most) {
  return milliseconds(random_.below(static_cast<std::uint64_t>(most.count()) + 1));
}

milliseconds Nemesis::leases(std::uint64_t least, std::uint64_t most) {
  const auto lease = static_cast<std::uint64_t>(fleet_.options().lease.count());
  return milliseconds(least * lease + random_.below((most - least) * lease + 1));
}

int Nemesis::rounds() const noexcept { return *std::ranges::min_element(counts_); }

int Nemesis::dropped() const {
  int count = 0;
  for (const auto& one : fleet_.proxies()) count += one->proxy.dropped();
  return count;
}

steady_clock::time_point Nemesis::step() {
  const Time now = steady_clock::now();
  for (std::size_t i = 0; i < paused_until_.size(); ++i) {
    if (paused_until_[i] > now) continue;
    paused_until_[i] = for_ever;
    fleet_.workers()[i].process->kill(SIGCONT);
    fleet_.workers()[i].paused = false;
  }
  for (std::size_t i = 0; i < disturbed_until_.size(); ++i) {
    if (disturbed_until_[i] > now) continue;
    disturbed_until_[i] = for_ever;
    fleet_.proxies()[i]->proxy.set(Traffic::pass);
  }
  if (next_ <= now) {
    if (deck_.empty()) {
      for (std::size_t i = 0; i < kinds; ++i) deck_.push_back(static_cast<Fault>(i));
      for (std::size_t i = kinds - 1; i > 0; --i) std::swap(deck_[i], deck_[random_.below(i + 1)]);
    }
    const Fault fault = deck_.back();
    deck_.pop_back();
    ++counts_.at(static_cast<std::size_t>(fault));
    strike(fault, now);
    next_ = steady_clock::now() + up_to(longest_pause_);
  }
  return std::min(
      {next_, *std::ranges::min_element(paused_until_), *std::ranges::min_element(disturbed_until_)});
}

void Nemesis::relent() {
  for (Time& until : paused_until_) until = std::min(until, steady_clock::now());
  for (Time& until : disturbed_until_) until = std::min(until, steady_clock::now());
  next_ = for_ever;
  step();
}

void Nemesis::strike(Fault fault, Time now) {
  switch (fault) {
    case Fault::kill: {
      // Also one that stands still: it never comes back.
      const std::size_t i = random_.below(fleet_.workers().size());
      auto& worker = fleet_.workers()[i];
      worker.process->kill(SIGKILL);
      worker.process->wait();
      paused_until_[i] = for_ever;
      fleet_.start(worker);
      return;
    }
    case Fault::pause:
      return pause_a_worker(now);
    case Fault::end_sessions:
      fleet_.server().run(
          fmt::format("SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
                      "WHERE application_name = 'quern' ORDER BY md5(pid || '{}') LIMIT {}) z",
                      random_.next(), 1 + random_.below(8)));
      return;
    case Fault::restart:
    case Fault::crash:
      fleet_.server().stop(fault == Fault::restart ? PostgresServer::Stop::fast
                                                   : PostgresServer::Stop::immediate);
      fleet_.server().start();
      return;
    case Fault::cut:
      return disturb(Traffic::cut, now + up_to(fleet_.options().lease / 2));
    case Fault::delay:
      return disturb(Traffic::delay, now + leases(1, 3), up_to(fleet_.options().lease / 3));
    case Fault::half_open:
      return disturb(Traffic::half_open, now + leases(1, 4));
    case Fault::drop_answers:
      fleet_.proxies()[draw_proxy()]->proxy.drop_answers(1 + static_cast<int>(random_.below(8)));
      return;
  }
}

void Nemesis::pause_a_worker(Time now) {
  const std::size_t i = random_.below(fleet_.workers().size());
  auto& worker = fleet_.workers()[i];
  const Time until = now + leases(2, 10);
  // One that stands still already does so for longer.
  paused_until_[i] = worker.paused ? std::max(paused_until_[i], until) : until;
  worker.paused = true;
  worker.process->kill(SIGSTOP);
}

std::size_t Nemesis::draw_proxy() { return random_.below(fleet_.proxies().size()); }

void Nemesis::disturb(Traffic traffic, Time until, milliseconds by) {
  const std::size_t i = draw_proxy();
  disturbed_until_[i] = until;
  fleet_.proxies()[i]->proxy.set(traffic, by);
}

FleetReport torment(Fleet& fleet, std::uint64_t seed, std::uint64_t jobs, int rounds,
                    milliseconds longest_pause, void (*say)(std::string_view)) {
  const auto start = steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(steady_clock::now() - start).count(); };
  Nemesis nemesis(fleet, seed, longest_pause);
  auto look_at = start;
  auto say_at = start;
  while (fleet.added() < jobs || nemesis.rounds() < rounds) {
    const auto next = nemesis.step();
    const auto now = steady_clock::now();
    if (look_at <= now) {
      fleet.look();
      look_at = steady_clock::now() + 100ms;
    }
    if (say_at <= now) {
      say(fmt::format("{:.0f} s: {} jobs added, {} wait, {} enqueues in doubt, {} rounds of faults",
                      seconds(), fleet.added(), fleet.waiting(), fleet.in_doubt(), nemesis.rounds()));
      say_at = now + 10s;
    }
    wait_until(std::min(next, look_at));
  }
  nemesis.relent();
  say(fmt::format("{:.0f} s: no more faults, {} jobs added, {} wait", seconds(), fleet.added(),
                  fleet.waiting()));
  FleetReport report{.faults = nemesis.counts(), .in_doubt = fleet.in_doubt()};
  FleetHistory history = fleet.finish();
  report.took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  for (const auto& attempt : history.attempts) {
    using Answer = FleetHistory::Answer;
    report.acknowledged += attempt.answer == Answer::acknowledged ? 1 : 0;
    report.refused += attempt.answer == Answer::refused ? 1 : 0;
    report.found += attempt.answer == Answer::found ? 1 : 0;
    report.unknown += attempt.answer == Answer::unknown ? 1 : 0;
  }
  report.tried = history.attempts.size();
  report.kept = history.kept.size();
  report.runs = history.runs.size();
  report.processes = fleet.processes();
  report.looks = fleet.looks();
  report.dropped = nemesis.dropped();
  report.verdict = check_fleet(std::move(history));
  std::ranges::copy(fleet.trouble(), std::back_inserter(report.verdict.broken));
  return report;
}

std::string to_text(const FleetReport& report) {
  std::string text = fmt::format(
      "{} jobs tried in {:.1f} s: acknowledged {}, refused by a unique key {}, found by their ids {}, given "
      "up {}\n"
      "{} jobs kept, {} runs in {} worker processes, {} looks, {} enqueues in doubt, {} answers "
      "dropped\nfaults:",
      report.tried, std::chrono::duration<double>(report.took).count(), report.acknowledged, report.refused,
      report.found, report.unknown, report.kept, report.runs, report.processes, report.looks, report.in_doubt,
      report.dropped);
  for (std::size_t i = 0; i < report.faults.size(); ++i)
    text += fmt::format(" {} {}", Nemesis::names.at(i), report.faults.at(i));
  return text + '\n' + to_text(report.verdict);
}

}  // namespace quern_test
#endif
