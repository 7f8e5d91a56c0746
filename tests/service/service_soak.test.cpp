#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;

// tools/service-soak does the same with a million jobs.
TEST_CASE(
    "I01 I10 I26 a service whose workers come and go and whose process is killed loses no job and counts "
    "right",
    "[service][threads][sqlite]") {
  const quern_test::TempFolder folder;
  quern_test::ChildProcess soak({QUERN_TEST_PROGRAMS_DIR "/quern_service_soak",
                                 (folder.path() / "soak.db").string(), "30000", "4", "2026"});
  REQUIRE(soak.wait_for(600s));
  CHECK(soak.exit_code() == 0);
}
