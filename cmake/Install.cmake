# What `cmake --install build --prefix PLACE [--component client|programs]` leaves. Everything may be moved
# afterwards: nothing that is installed holds a path of its own.
#   client    libpoundlock.so, libpoundlock.a, headers, a package for find_package, one for pkg-config
#   programs  poundlock, poundlockd
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The client and, of the layers below it, what it uses. Their names stay inside: what is exported is marked
# POUNDLOCK_API, and the version script keeps out what the standard library's templates would add.
add_library(poundlock_shared SHARED $<TARGET_OBJECTS:pl_client>)
target_link_libraries(poundlock_shared PRIVATE pl_flag CURL::libcurl)
set(exports ${CMAKE_CURRENT_LIST_DIR}/install/exports.map)
target_link_options(poundlock_shared PRIVATE LINKER:--as-needed LINKER:--version-script=${exports})
if(NOT POUNDLOCK_SANITIZE)  # a sanitizer's names come with the program
  target_link_options(poundlock_shared PRIVATE LINKER:-z,defs)
endif()
# Programs pass structs of ours by value. Below 1.0 a minor version may add to them, and a program that loaded
# it in the place of the one that it was built with would read past their ends.
set(soversion ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(soversion 0.${PROJECT_VERSION_MINOR})
endif()
set_target_properties(poundlock_shared PROPERTIES
  EXPORT_NAME client VERSION ${PROJECT_VERSION} SOVERSION ${soversion} LINK_DEPENDS ${exports})

add_library(poundlock_static STATIC
  $<TARGET_OBJECTS:pl_client> $<TARGET_OBJECTS:pl_flag> $<TARGET_OBJECTS:pl_base>)
target_link_libraries(poundlock_static INTERFACE fmt::fmt Boost::json CURL::libcurl Threads::Threads)
set_target_properties(poundlock_static PROPERTIES EXPORT_NAME client_static)

foreach(library poundlock_shared poundlock_static)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${library} INTERFACE cxx_std_17)
  set_target_properties(${library} PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME poundlock)
endforeach()

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Poundlock)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/poundlock TYPE INCLUDE COMPONENT client)
install(TARGETS poundlock_shared EXPORT PoundlockTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client NAMELINK_COMPONENT client)
install(TARGETS poundlock_static EXPORT PoundlockStaticTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
foreach(targets PoundlockTargets PoundlockStaticTargets)
  install(EXPORT ${targets} NAMESPACE Poundlock:: DESTINATION ${package} COMPONENT client)
endforeach()

# pkg-config answers with the folder that it found the file in.
file(RELATIVE_PATH up_from_pkgconfig "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_package_config_file(cmake/install/PoundlockConfig.cmake.in generated/PoundlockConfig.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/PoundlockConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
configure_file(cmake/install/poundlock.pc.in generated/poundlock.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/PoundlockConfig.cmake
  ${CMAKE_BINARY_DIR}/generated/PoundlockConfigVersion.cmake DESTINATION ${package} COMPONENT client)
install(FILES ${CMAKE_BINARY_DIR}/generated/poundlock.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)

install(TARGETS poundlock poundlockd RUNTIME COMPONENT programs)
