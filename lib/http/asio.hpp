// asio.hpp - the part of Boost.Asio that the sidecar uses, and its coroutine type.
// Level 5 (http). For the .cpp files of this folder and the headers they share; never included from sidecar.hpp.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tarn::http {

namespace asio = boost::asio;

/// A coroutine on the io_context of its worker: everything in it runs on one thread.
template <class T = void>
using Task = asio::awaitable<T, asio::io_context::executor_type>;

using TaskToken = asio::use_awaitable_t<asio::io_context::executor_type>;
/// Errors come as the first element of a tuple instead of as exceptions.
inline constexpr asio::experimental::as_tuple_t<TaskToken> kAwait{};

using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, asio::io_context::executor_type>;

}  // namespace tarn::http
