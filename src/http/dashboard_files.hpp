#pragma once

#include <span>
#include <string_view>

namespace quern::inline v1::http::detail {

/// A file of the dashboard, as it was when the library was built.
struct DashboardFile {
  std::string_view name;  ///< "index.html"
  std::string_view etag;  ///< With its quotes; another one where another byte is.
  std::string_view body;
};

/// All of src/http/dashboard, in a source that cmake/QuernEmbed.cmake makes.
[[nodiscard]] std::span<const DashboardFile> dashboard_files() noexcept;

}  // namespace quern::inline v1::http::detail
