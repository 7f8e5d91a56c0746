#pragma once

#include "quern/http/api_keys.hpp"
#include "quern/http/audit_log.hpp"
#include "quern/http/roles.hpp"
#include "quern/http/router.hpp"

namespace quern::inline v1::http {

/// Adds the routes by which keys and roles are managed, [keys.manage]: docs/http-api.md. Both must outlive the router. Nobody can hand on
/// more than they have.
void mount_keys(Router& router, ApiKeys& keys, Roles& roles);

/// Adds the routes by which the audit log is read and verified, [audit.read]; it must outlive the router.
void mount_audit(Router& router, AuditLog& audit);

}  // namespace quern::inline v1::http
