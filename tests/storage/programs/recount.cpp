// The example quern-recount, for its test.
#include "../../../examples/recount.cpp"
