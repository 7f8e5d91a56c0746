#include "quern/testing/storage_conformance.hpp"

#include "testing/scene.hpp"

namespace quern::inline v1::testing {

const std::vector<ConformanceCase>& storage_conformance_cases() {
  static const std::vector<ConformanceCase> all = [] {
    std::vector<ConformanceCase> cases;
    detail::add_insert_cases(cases);
    detail::add_unique_cases(cases);
    detail::add_parent_cases(cases);
    detail::add_claim_cases(cases);
    detail::add_fencing_cases(cases);
    detail::add_finish_cases(cases);
    detail::add_turnover_cases(cases);
    detail::add_insert_if_cases(cases);
    detail::add_rule_cases(cases);
    detail::add_rate_cases(cases);
    detail::add_run_cases(cases);
    detail::add_cancel_cases(cases);
    detail::add_change_cases(cases);
    detail::add_node_cases(cases);
    detail::add_upkeep_cases(cases);
    detail::add_read_cases(cases);
    detail::add_filter_cases(cases);
    detail::add_event_cases(cases);
    detail::add_concurrency_cases(cases);
    detail::add_durability_cases(cases);
    detail::add_image_cases(cases);
    detail::add_model_cases(cases);
    return cases;
  }();
  return all;
}

}  // namespace quern::inline v1::testing
