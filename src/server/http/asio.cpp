// The one file in which Boost.Asio is compiled; see pl_asio in cmake/Dependencies.cmake.
#include <boost/asio/impl/src.hpp>
