using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Analytics.Actors.Tests.Storage;

/// <summary>
/// Stands between a client and a server on loopback, and does something to the connection when the client says a certain
/// word. What arrives with the word is the first that is treated so; everything before it went through.
/// </summary>
internal sealed class TcpProxy : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly int serverPort;
    private readonly List<Socket> sockets = [];
    private readonly Lock gate = new();
    private volatile Trap? trap;

    public TcpProxy(int serverPort)
    {
        this.serverPort = serverPort;
        listener.Start();
        _ = AcceptAsync();
    }

    public enum Fault
    {
        /// <summary>The server never hears the word: the connection is cut before it.</summary>
        CutBefore,

        /// <summary>The server has heard the word and has answered, and the answer is lost with the connection.</summary>
        CutBeforeAnswer,

        /// <summary>The server hears the word; from then on nothing comes back and nothing ends, on new connections too.</summary>
        Silence,
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>The next time that a client says the word, this happens; once, but for silence, which lasts until <see cref="Heal"/>.</summary>
    public void When(string word, Fault fault) => trap = new Trap(Encoding.ASCII.GetBytes(word), fault);

    /// <summary>New connections are good ones; those that fell silent are cut.</summary>
    public void Heal()
    {
        trap = null;
        CutAll();
    }

    public void Dispose()
    {
        listener.Stop();
        CutAll();
    }

    private void CutAll()
    {
        lock (gate)
        {
            foreach (var socket in sockets) socket.Dispose();
            sockets.Clear();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptSocketAsync();
                var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                client.NoDelay = true;
                lock (gate) sockets.AddRange([client, server]);
                if (trap is { Fault: Fault.Silence, IsSprung: true }) continue;
                _ = RunAsync(client, server);
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
        }
    }

    private async Task RunAsync(Socket client, Socket server)
    {
        var silent = new Answers();
        var down = Task.CompletedTask;
        var bytes = new byte[65_536];
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, serverPort);
            down = PumpAsync(server, client, silent);
            while (await client.ReceiveAsync(bytes) is > 0 and var count)
            {
                if (trap is { } set && bytes.AsSpan(0, count).IndexOf(set.Word) >= 0)
                {
                    if (set.Fault == Fault.CutBefore)
                    {
                        trap = null;
                        break;
                    }

                    silent.Value = true;
                    set.IsSprung = true;
                    await server.SendAsync(bytes.AsMemory(0, count));
                    if (set.Fault == Fault.Silence) continue;
                    trap = null;
                    await silent.Answered.Task;
                    break;
                }

                await server.SendAsync(bytes.AsMemory(0, count));
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
        }
        finally
        {
            client.Dispose();
            server.Dispose();
        }

        await down;
    }

    private static async Task PumpAsync(Socket from, Socket to, Answers silent)
    {
        var bytes = new byte[65_536];
        try
        {
            while (await from.ReceiveAsync(bytes) is > 0 and var count)
            {
                if (silent.Value) silent.Answered.TrySetResult();
                else await to.SendAsync(bytes.AsMemory(0, count));
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
        }
        finally
        {
            silent.Answered.TrySetResult();
            if (!silent.Value) to.Dispose();
        }
    }

    private sealed class Trap(byte[] word, Fault fault)
    {
        public byte[] Word => word;
        public Fault Fault => fault;
        public bool IsSprung { get; set; }
    }

    private sealed class Answers
    {
        public bool Value { get; set; }
        public TaskCompletionSource Answered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
