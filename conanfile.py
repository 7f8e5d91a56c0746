"""Conan 2 recipe: conan create . --build=missing"""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0.9"


class QuernConan(ConanFile):
    name = "quern"
    description = "Durable background jobs as a library"
    license = "MIT"
    topics = ("background-jobs", "job-queue", "scheduler", "sqlite", "postgresql")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "enable_sqlite": [True, False],
        "enable_postgres": [True, False],
        "enable_handlers": [True, False],
        "enable_http": [True, False],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "enable_sqlite": True,
        "enable_postgres": False,
        "enable_handlers": False,
        "enable_http": False,
    }
    implements = ["auto_shared_fpic"]
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"
    test_package_folder = "cmake/conan_test_package"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "CMakeLists.txt"))
        self.version = self.version or re.search(r"VERSION (\d+\.\d+\.\d+)", text).group(1)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # Both are in public headers.
        self.requires("fmt/[>=9 <13]", transitive_headers=True)
        self.requires("nlohmann_json/[>=3.10 <4]", transitive_headers=True)
        if self.options.enable_sqlite:
            # A host may hand in its own connection, so it sees SQLite's header too.
            self.requires("sqlite3/[>=3.35 <4]", transitive_headers=True)
        if self.options.enable_postgres:
            # The same for a PGconn.
            self.requires("libpq/[>=13 <19]", transitive_headers=True)
        if self.options.enable_handlers:
            self.requires("libcurl/[>=7.85 <9]")
        if self.options.enable_http:
            # Headers that no header of quern's includes.
            self.requires("boost/[>=1.74 <2]", headers=True, libs=False)
        if self.options.enable_handlers or self.options.enable_http:
            self.requires("openssl/[>=3 <4]")

    def validate(self):
        check_min_cppstd(self, 20)

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.24 <5]")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["QUERN_SQLITE"] = "ON" if self.options.enable_sqlite else "OFF"
        toolchain.cache_variables["QUERN_POSTGRES"] = "ON" if self.options.enable_postgres else "OFF"
        toolchain.cache_variables["QUERN_HANDLERS"] = "ON" if self.options.enable_handlers else "OFF"
        toolchain.cache_variables["QUERN_HTTP"] = "ON" if self.options.enable_http else "OFF"
        toolchain.cache_variables["QUERN_INSTALL"] = True
        for unwanted in ("QUERN_BUILD_TESTS", "QUERN_BUILD_EXAMPLES", "QUERN_BUILD_BENCHMARKS", "QUERN_CCACHE"):
            toolchain.cache_variables[unwanted] = False
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", src=self.source_folder, dst=os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        # Conan writes its own package files.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "quern")
        self._component("quern", "quern", ["fmt::fmt", "nlohmann_json::nlohmann_json"])
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.components["quern"].system_libs = ["pthread"]
        if self.options.enable_sqlite:
            self._component("sqlite", "quern-sqlite", ["quern", "sqlite3::sqlite3"])
        if self.options.enable_postgres:
            self._component("postgres", "quern-postgres", ["quern", "libpq::libpq"])
        if self.options.enable_handlers:
            self._component("handlers", "quern-handlers", ["quern", "libcurl::libcurl", "openssl::crypto"])
        if self.options.enable_http:
            self._component("http", "quern-http", ["quern", "openssl::ssl", "openssl::crypto"])
        self._component("testing", "quern-testing", ["quern"])

    def _component(self, name, library, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"quern::{name}")
        component.set_property("pkg_config_name", library)
        component.libs = [library]
        component.requires = requires
