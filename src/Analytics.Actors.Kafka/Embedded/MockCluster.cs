using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Analytics.Actors.Kafka.Embedded;

/// <summary>The exported functions of librdkafka behind <see cref="EmbeddedBroker"/>: its mock cluster and a client to host it.</summary>
internal static unsafe partial class MockCluster
{
    private const string Library = KafkaNative.LibraryName;
    private const int Producer = 0;
    private const int ConfigurationOk = 0;
    private const int TextBytes = 512;

    // The callback is called on librdkafka's threads; the opaque pointer of the client finds the logger again.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnLog(IntPtr client, int level, IntPtr facility, IntPtr message)
    {
        try
        {
            if (client == IntPtr.Zero) return;
            var opaque = rd_kafka_opaque(client);
            if (opaque == IntPtr.Zero || GCHandle.FromIntPtr(opaque).Target is not ClientLogger logger) return;
            logger.Native(level, Text(facility), Text(message));
        }
        catch
        {
            // An exception must not cross into native code, and a log sink that throws has no other place to go.
        }
    }

    /// <summary>Makes the client that hosts a cluster. Its log goes to the logger behind <paramref name="logger"/>, never to stderr.</summary>
    public static IntPtr NewClient(GCHandle logger, IEnumerable<KeyValuePair<string, string>> options)
    {
        var configuration = rd_kafka_conf_new();
        var text = stackalloc byte[TextBytes];
        foreach (var (key, value) in options)
        {
            if (rd_kafka_conf_set(configuration, key, value, text, TextBytes) == ConfigurationOk) continue;
            rd_kafka_conf_destroy(configuration);
            throw new InvalidOperationException($"librdkafka refuses {key}={value}: {Text((IntPtr)text)}");
        }

        rd_kafka_conf_set_opaque(configuration, GCHandle.ToIntPtr(logger));
        rd_kafka_conf_set_log_cb(configuration, &OnLog);
        var client = rd_kafka_new(Producer, configuration, text, TextBytes);
        if (client != IntPtr.Zero) return client;
        rd_kafka_conf_destroy(configuration);
        throw new InvalidOperationException($"The embedded broker cannot start: {Text((IntPtr)text)}");
    }

    public static string Text(IntPtr utf8) => Marshal.PtrToStringUTF8(utf8) ?? "";

    public static string ErrorText(int error) => Text(rd_kafka_err2str(error));

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_conf_new();

    [LibraryImport(Library)]
    private static partial void rd_kafka_conf_destroy(IntPtr configuration);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int rd_kafka_conf_set(IntPtr configuration, string name, string value, byte* error, nuint errorSize);

    [LibraryImport(Library)]
    private static partial void rd_kafka_conf_set_opaque(IntPtr configuration, IntPtr opaque);

    [LibraryImport(Library)]
    private static partial void rd_kafka_conf_set_log_cb(IntPtr configuration, delegate* unmanaged[Cdecl]<IntPtr, int, IntPtr, IntPtr, void> callback);

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_opaque(IntPtr client);

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_new(int type, IntPtr configuration, byte* error, nuint errorSize);

    [LibraryImport(Library)]
    public static partial void rd_kafka_destroy(IntPtr client);

    [LibraryImport(Library)]
    private static partial IntPtr rd_kafka_err2str(int error);

    [LibraryImport(Library)]
    public static partial IntPtr rd_kafka_mock_cluster_new(IntPtr client, int brokers);

    [LibraryImport(Library)]
    public static partial void rd_kafka_mock_cluster_destroy(IntPtr cluster);

    [LibraryImport(Library)]
    public static partial IntPtr rd_kafka_mock_cluster_bootstraps(IntPtr cluster);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int rd_kafka_mock_topic_create(IntPtr cluster, string topic, int partitions, int replicationFactor);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int rd_kafka_mock_partition_set_leader(IntPtr cluster, string topic, int partition, int broker);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial void rd_kafka_mock_topic_set_error(IntPtr cluster, string topic, int error);

    [LibraryImport(Library)]
    public static partial int rd_kafka_mock_broker_set_down(IntPtr cluster, int broker);

    [LibraryImport(Library)]
    public static partial int rd_kafka_mock_broker_set_up(IntPtr cluster, int broker);

    [LibraryImport(Library)]
    public static partial int rd_kafka_mock_broker_set_rtt(IntPtr cluster, int broker, int milliseconds);

    [LibraryImport(Library)]
    public static partial void rd_kafka_mock_push_request_errors_array(IntPtr cluster, short api, nuint count, int* errors);

    [LibraryImport(Library)]
    public static partial void rd_kafka_mock_clear_request_errors(IntPtr cluster, short api);
}
