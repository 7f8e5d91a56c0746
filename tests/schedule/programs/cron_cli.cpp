// The example quern-cron, for its test.
#include "../../../examples/cron.cpp"
