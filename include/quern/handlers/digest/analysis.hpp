#pragma once

#include "quern/handlers/digest/activity.hpp"
#include "quern/handlers/digest/report.hpp"

namespace quern::inline v1::digest {

/// Counts and sorts what happened in the activity's period: what passes the filters and falls into the
/// period, by when a pull request or issue was opened, merged or closed, a commit was committed, a release
/// was published. A pure function: the same activity and filters give the same report.
///
/// Contributors are sorted by merged pull requests, then commits, reviews, opened pull requests, issues, then
/// by name. Accounts that are gone are counted in everything else, but not among the contributors.
[[nodiscard]] DigestReport analyze(const RepositoryActivity& activity, const Filters& filters = {});

}  // namespace quern::inline v1::digest
