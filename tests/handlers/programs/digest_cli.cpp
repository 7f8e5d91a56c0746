// The example program, with crash points armed: for the test that kills it.
#include "quern/testing/crash.hpp"
#define main digest_main
#include "../../../examples/digest.cpp"
#undef main

int main(int argc, char** argv) {
  quern::testing::arm_crash_from_environment();
  return digest_main(argc, argv);
}
