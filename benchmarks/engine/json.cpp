// What a typed payload costs: as JSON, beside nlohmann::json, and packed, as it travels within the process.

#include <nlohmann/json.hpp>

#include "support.hpp"

namespace bench {
namespace {

/// The same job for nlohmann::json.
struct TheirDigest : SendDigest {};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TheirDigest, repository, user_id, period, recipients, note)

std::string text_of(const SendDigest& job) { return quern::Payload::of(job).text(); }
SendDigest of_text(std::string text) { return quern::Payload::json(std::move(text)).as<SendDigest>(); }
std::string their_text_of(const TheirDigest& job) { return nlohmann::json(job).dump(); }
TheirDigest of_their_text(const std::string& text) { return nlohmann::json::parse(text).get<TheirDigest>(); }
SendDigest packed_and_back(const SendDigest& job) { return quern::Payload::of(job).as<SendDigest>(); }

/// Nanoseconds for one job to go there and back.
template <class Job, class RoundTrip>
double nanoseconds(const std::vector<Job>& jobs, std::size_t times, RoundTrip round_trip) {
  std::size_t sum = 0;
  const Stopwatch watch;
  for (std::size_t i = 0; i < times; ++i) sum += round_trip(jobs[i % jobs.size()]).note.size();
  const double taken = watch.seconds() * 1e9 / static_cast<double>(times);
  if (sum == 0) throw quern::Error("a job came back empty");
  return taken;
}

}  // namespace

void json(const Settings& settings) {
  std::vector<SendDigest> jobs;
  std::vector<TheirDigest> theirs;
  for (std::size_t i = 0; i < 1000; ++i) {
    jobs.push_back(digest(i));
    theirs.push_back({jobs.back()});
  }
  const std::size_t times = settings.scaled(200'000);
  std::vector<double> ours_ns;
  std::vector<double> theirs_ns;
  std::vector<double> packed_ns;
  for (int round = 0; round < settings.rounds; ++round) {
    theirs_ns.push_back(
        nanoseconds(theirs, times, [](const TheirDigest& job) { return of_their_text(their_text_of(job)); }));
    ours_ns.push_back(nanoseconds(jobs, times, [](const SendDigest& job) { return of_text(text_of(job)); }));
    packed_ns.push_back(nanoseconds(jobs, times, packed_and_back));
  }
  print("json.text.bytes", static_cast<double>(text_of(jobs.front()).size()), "bytes");
  print("json.roundtrip.ns", median(ours_ns), "ns");
  print("json.nlohmann.roundtrip.ns", median(theirs_ns), "ns");
  print("json.ratio_to_nlohmann", median(ours_ns) / median(theirs_ns), "ratio");
  print("packed.roundtrip.ns", median(packed_ns), "ns");
}

}  // namespace bench
