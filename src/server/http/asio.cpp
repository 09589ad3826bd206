// The one file in which Boost.Asio and Boost.Beast are compiled; see pl_asio in cmake/Dependencies.cmake.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
