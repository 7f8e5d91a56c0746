#include <chrono>
#include <cstdio>

#include "quern/core/time.hpp"

int main() { std::puts(quern::to_text(std::chrono::seconds(90)).c_str()); }
