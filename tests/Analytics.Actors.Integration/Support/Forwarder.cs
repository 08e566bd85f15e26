using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Analytics.Actors.Integration.Support;

/// <summary>
/// Offers a port of one host at another one: what connects there is connected here. The embedded broker listens on
/// 127.0.0.1 only, and names itself so to its clients: with a forwarder at each host that is true everywhere. It can be slow,
/// swallow what one side says, or close everything and let nobody in.
/// </summary>
internal sealed class Forwarder : IDisposable
{
    private const int ChunksMax = 64;

    private readonly HostNetwork network;
    private readonly string? connectAt;
    private readonly IPEndPoint target;
    private readonly Socket listener;
    private readonly CancellationTokenSource end = new();
    private readonly Lock gate = new();
    private readonly HashSet<Socket> open = [];
    private TaskCompletionSource requestsFlow = Flowing(), answersFlow = Flowing();
    private volatile bool isCut;
    private long delayTicks;

    /// <param name="listenAt">The host that it listens at; null: this process's own.</param>
    /// <param name="connectAt">The host that it connects from.</param>
    public Forwarder(HostNetwork network, string? listenAt, IPEndPoint address, string? connectAt, IPEndPoint target)
    {
        (this.network, this.connectAt, this.target) = (network, connectAt, target);
        listener = network.NewSocket(listenAt);
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(address);
        listener.Listen();
        _ = AcceptAsync();
    }

    /// <summary>How long everything takes longer, each way.</summary>
    public TimeSpan Delay
    {
        set => Volatile.Write(ref delayTicks, (long)(value.TotalSeconds * Stopwatch.Frequency));
    }

    /// <summary>What clients say is kept back, while answers go through; given out when it ends.</summary>
    public bool HoldsRequests
    {
        set => Hold(ref requestsFlow, value);
    }

    /// <summary>What the server says is kept back, while requests go through.</summary>
    public bool HoldsAnswers
    {
        set => Hold(ref answersFlow, value);
    }

    /// <summary>Closes every connection, and each new one at once.</summary>
    public bool IsCut
    {
        set
        {
            isCut = value;
            if (!value) return;
            lock (gate)
            {
                foreach (var socket in open) socket.Dispose();
                open.Clear();
            }
        }
    }

    public void Dispose()
    {
        end.Cancel();
        IsCut = true;
        listener.Dispose();
    }

    private static TaskCompletionSource Flowing()
    {
        var flow = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        flow.SetResult();
        return flow;
    }

    private static void Hold(ref TaskCompletionSource flow, bool value)
    {
        if (value && flow.Task.IsCompleted) Volatile.Write(ref flow, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        else if (!value) flow.TrySetResult();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ConnectAsync(await listener.AcceptAsync(end.Token));
        }
        catch (Exception ended) when (ended is OperationCanceledException or ObjectDisposedException or SocketException)
        {
        }
    }

    private async Task ConnectAsync(Socket client)
    {
        client.NoDelay = true;
        using var server = network.NewSocket(connectAt);
        try
        {
            lock (gate)
            {
                open.Add(client);
                open.Add(server);
            }

            if (isCut) return;
            await server.ConnectAsync(target, end.Token);
            await Task.WhenAll(CopyAsync(client, server, isRequests: true), CopyAsync(server, client, isRequests: false));
        }
        catch (Exception broken) when (broken is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // One side is gone: so is the other.
        }
        finally
        {
            lock (gate)
            {
                open.Remove(client);
                open.Remove(server);
            }

            client.Dispose();
        }
    }

    private async Task CopyAsync(Socket from, Socket to, bool isRequests)
    {
        var chunks = Channel.CreateBounded<(byte[] Bytes, long At)>(ChunksMax);
        var writing = WriteAsync(chunks.Reader, to, isRequests);
        var buffer = new byte[65_536];
        try
        {
            while (await from.ReceiveAsync(buffer, end.Token) is var count and > 0) await chunks.Writer.WriteAsync((buffer[..count], Stopwatch.GetTimestamp()), end.Token);
            chunks.Writer.Complete();
            await writing;
            to.Shutdown(SocketShutdown.Send);
        }
        catch
        {
            // Ends the other direction too.
            from.Dispose();
            to.Dispose();
            throw;
        }
    }

    private async Task WriteAsync(ChannelReader<(byte[] Bytes, long At)> chunks, Socket to, bool isRequests)
    {
        await foreach (var (bytes, at) in chunks.ReadAllAsync(end.Token))
        {
            var wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), at + Volatile.Read(ref delayTicks));
            if (wait > TimeSpan.Zero)
            {
                using var far = new PeriodicTimer(wait);
                await far.WaitForNextTickAsync(end.Token);
            }

            await Volatile.Read(ref isRequests ? ref requestsFlow : ref answersFlow).Task.WaitAsync(end.Token);
            await to.SendAsync(bytes, end.Token);
        }
    }
}
