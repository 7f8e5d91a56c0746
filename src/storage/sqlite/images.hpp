#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "quern/storage/job_image.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1::sqlite {

/// Puts jobs where their images show them, in one transaction. A job that was not there costs what an insert
/// costs, and its end; one that was there is taken out of its place first.
class ImageWriter {
 public:
  ImageWriter(Work& work, NodeId keeper) : work_(work), keeper_(keeper) {}

  void write(const ImageChunk& chunk);
  /// After the last chunk: the runs, as claims of the keeper.
  void finish();

 private:
  using Group = std::pair<ClaimGroup, std::vector<std::uint64_t>>;  // and its ids

  void erase(JobId id);
  void put(const JobImage& image);
  bool replace(const Job& job);
  void take_out(Place& place);
  void put_beside(const JobImage& image, bool added);
  void place(const JobImage& image, LaneId lane, bool changed);
  void note_run(const JobImage& image, LaneId lane, bool changed);

  Work& work_;
  const NodeId keeper_;
  std::map<TimePoint, std::vector<Group>> runs_;  // by the time of their claim
};

/// Up to `limit` jobs beyond `after`, by id.
[[nodiscard]] std::vector<JobImage> read_images(Connection& db, JobId after, std::size_t limit);

}  // namespace quern::inline v1::sqlite
