// The program that each project here builds: it calls into every component that its project has linked.
#include <chrono>
#include <cstdio>
#include <string>

#include "quern/core/time.hpp"

#ifdef CONSUME_SQLITE
#include <sqlite3.h>
#endif

namespace {

bool core_works() { return quern::to_text(std::chrono::seconds(90)) == "1m30s"; }

#ifdef CONSUME_SQLITE
// The place for quern::sqlite: for now it shows that the component brings its library and header along.
bool sqlite_works() { return sqlite3_libversion_number() >= 3'035'000; }
#else
bool sqlite_works() { return true; }
#endif

}  // namespace

int main() {
  if (!core_works() || !sqlite_works()) {
    std::puts("the package answers wrongly");
    return 1;
  }
  std::puts("the package works");
}
