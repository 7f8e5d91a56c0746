#pragma once

namespace bench {

/// Takes a minute: it waits for instants that come each second.
void scheduler();

}  // namespace bench
