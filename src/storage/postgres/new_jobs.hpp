#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/storage/requests.hpp"
#include "storage/postgres/params.hpp"

namespace quern::inline v1::postgres {

/// Plain jobs as columns, for insert_plain. The jobs must outlive it.
class NewJobs {
 public:
  void add(const NewJob& job, int lane);
  /// Columns in which nothing stands are NULL as a whole.
  void put(Params& params) const;

 private:
  using Long = std::optional<std::int64_t>;
  using Text = std::optional<std::string_view>;

  std::vector<std::int64_t> ids_;
  std::vector<int> lanes_;
  std::vector<int> priorities_;
  std::vector<int> max_attempts_;
  std::vector<std::string_view> payloads_;
  std::vector<Long> ats_;
  std::vector<Long> afters_;
  std::vector<Long> deadline_ats_;
  std::vector<Long> deadline_afters_;
  std::vector<Long> timeouts_;
  std::vector<Text> tenants_;
  std::vector<std::optional<std::string>> tags_;
  std::vector<Text> created_by_;
  std::vector<Text> digests_;
  std::vector<Text> traces_;
};

[[nodiscard]] std::vector<JobId> ids_of(std::span<const NewJob> jobs);
/// Throws InvalidArgument for an id that is out of range or stands twice.
void check_ids(std::span<const NewJob> jobs);

}  // namespace quern::inline v1::postgres
