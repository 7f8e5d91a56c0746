#pragma once

#include <string_view>

#include "quern/http/router.hpp"

namespace quern::inline v1::http {

/// What a page of the dashboard may do in a browser: nothing but what comes from its own server, and no script or style within
/// markup. Sent with each of its files.
inline constexpr std::string_view dashboard_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Adds the dashboard: "/" and the files that it needs, which are compiled in.
///
/// Everybody may read these files, since nothing of the service is in them: what they show they ask the API for ("/api", see
/// docs/http-api.md), with the key of who signs in. Their addresses are relative, so a proxy may put the router below any path.
/// Throws InvalidArgument where the router has one of these routes already.
void mount_dashboard(Router& router);

}  // namespace quern::inline v1::http
