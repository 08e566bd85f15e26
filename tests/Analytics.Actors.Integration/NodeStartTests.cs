using System.Net;
using System.Net.Sockets;
using Analytics.Actors.Integration.Support;
using Analytics.Actors.Kafka.Embedded;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Integration;

/// <summary>A node that cannot start says why, in words that name what is wrong, and ends: no process hangs half started.</summary>
public class NodeStartTests
{
    private const string Group = "its";
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task Brokers_that_nobody_answers_at_are_named()
    {
        using var folder = new TestFolder();
        using var held = Nobody(out var nobody);
        using var node = Start(folder, $"kafka.bootstrapServers={nobody}", $"store.path={folder.File("node.db")}");
        (await node.ExitAsync(EndLimit)).ShouldBe(1, node.State());
        node.Errors.ShouldContain("could not start");
        node.Errors.ShouldContain(nobody);
    }

    [Fact]
    public async Task A_signal_ends_a_start_that_waits_for_brokers()
    {
        using var folder = new TestFolder();
        using var held = Nobody(out var nobody);
        using var node = Start(folder, $"kafka.bootstrapServers={nobody}", $"store.path={folder.File("node.db")}");
        await node.LineAsync(line => line.Contains("effective configuration", StringComparison.Ordinal), EndLimit);
        node.Send(Signal.Terminate);
        (await node.ExitAsync(EndLimit)).ShouldBe(1, node.State());
    }

    [Fact]
    public async Task A_store_with_another_number_of_shards_is_refused()
    {
        using var folder = new TestFolder();
        await using (var store = new SqliteCheckpointStore(folder.File("node.db"))) await store.OpenAsync(Group, 4, CancellationToken.None);
        using var node = Start(folder, "kafka.bootstrapServers=127.0.0.1:9", $"store.path={folder.File("node.db")}", "shards=8");
        (await node.ExitAsync(EndLimit)).ShouldBe(1, node.State());
        node.Errors.ShouldContain("4");
        node.Errors.ShouldContain("8");
        node.Errors.ShouldContain("shards");
    }

    [Theory]
    [InlineData("a directory", "")]
    [InlineData("below a file", "file/node.db")]
    [InlineData("no database", "file")]
    public async Task A_store_that_cannot_be_written_is_named(string what, string path)
    {
        using var folder = new TestFolder();
        await File.WriteAllTextAsync(folder.File("file"), "this is text, and no database, long enough to be told from an empty one");
        var store = Path.Combine(folder.Path, path);
        using var node = Start(folder, "kafka.bootstrapServers=127.0.0.1:9", $"store.path={store}");
        (await node.ExitAsync(EndLimit)).ShouldBe(1, $"{what}: {node.State()}");
        node.Errors.ShouldContain(store.TrimEnd('/'));
    }

    [Fact]
    public async Task A_port_that_is_taken_is_named()
    {
        using var folder = new TestFolder();
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        using var node = Start(folder, "kafka.bootstrapServers=127.0.0.1:9", $"store.path={folder.File("node.db")}", $"http.port={port}");
        (await node.ExitAsync(EndLimit)).ShouldBe(2, node.State());
        node.Errors.ShouldContain("http.port");
        node.Errors.ShouldContain($"{port}");
    }

    [Fact]
    public async Task An_internal_topic_with_other_partitions_is_named()
    {
        using var folder = new TestFolder();
        using var broker = EmbeddedBroker.Start(1, new Dictionary<string, int> { [$"{Group}.station-events"] = 3 });
        using var node = Start(folder, $"kafka.bootstrapServers={broker.BootstrapServers}", $"store.path={folder.File("node.db")}", "shards=8");
        (await node.ExitAsync(EndLimit)).ShouldBe(1, node.State());
        node.Errors.ShouldContain($"{Group}.station-events has 3 partitions, but 8 are needed");
    }

    [Theory]
    [InlineData("shards=none", "shards")]
    [InlineData("shardz=8", "shardz")]
    [InlineData("kafka.consumer.enable.auto.commit=true", "enable.auto.commit")]
    [InlineData("pipeline=no-such-file.json", "no-such-file.json")]
    public async Task A_wrong_configuration_ends_with_2(string setting, string message)
    {
        using var folder = new TestFolder();
        using var node = Start(folder, "kafka.bootstrapServers=127.0.0.1:9", $"store.path={folder.File("node.db")}", setting);
        (await node.ExitAsync(EndLimit)).ShouldBe(2, node.State());
        node.Errors.ShouldContain(message);
        File.Exists(folder.File("node.db")).ShouldBeFalse();
    }

    private static AnalyticsProcess Start(TestFolder folder, params string[] settings) => AnalyticsProcess.Start(
        folder.Path,
        ["node", .. settings.Prepend("metrics.port=0").Prepend("http.port=0").Prepend($"group={Group}").SelectMany(setting => new[] { "--set", setting })]);

    // A port that is held, and at which nobody listens: whoever connects is refused.
    private static Socket Nobody(out string address)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        address = $"{socket.LocalEndPoint}";
        return socket;
    }
}
