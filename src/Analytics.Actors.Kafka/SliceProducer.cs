using System.Reflection;
using System.Runtime.InteropServices;
using Confluent.Kafka;
using TopicPartition = Analytics.Actors.Core.TopicPartition;

namespace Analytics.Actors.Kafka;

/// <summary>
/// Hands slices of arrays to a client's producer. Its public methods take whole arrays alone, so that each envelope, which is written into
/// a buffer that serves many, would be an array of its own, mostly a large object. What they do with it takes slices; the client
/// copies them.
/// </summary>
internal sealed class SliceProducer
{
    private readonly SendSlice send;
    private readonly ConstructorInfo newReceiver;

    /// <summary>Throws <see cref="NotSupportedException"/> where the managed client is not made as it is known here.</summary>
    public SliceProducer(Handle handle)
    {
        const BindingFlags inside = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
        var native = KafkaNative.ClientOf(handle);
        var method = native.GetType().GetMethod("Produce", inside, typeof(SendSlice).GetMethod(nameof(SendSlice.Invoke))!.GetParameters().Select(parameter => parameter.ParameterType).ToArray());
        // What the client calls with the report: it finds it behind the opaque pointer of the message, and frees that.
        var receiver = typeof(IProducer<,>).Assembly.GetType("Confluent.Kafka.Producer`2+TypedDeliveryHandlerShim_Action")?.MakeGenericType(typeof(byte[]), typeof(byte[]))
            .GetConstructor(inside, [typeof(string), typeof(byte[]), typeof(byte[]), typeof(Action<DeliveryReport<byte[]?, byte[]?>>)]);
        if (method is null || receiver is null)
            throw new NotSupportedException($"Confluent.Kafka {typeof(Handle).Assembly.GetName().Version} has no SafeKafkaHandle.Produce of slices any more, or no receiver for its reports.");
        send = method.CreateDelegate<SendSlice>(native);
        newReceiver = receiver;
    }

    private delegate ErrorCode SendSlice(
        string topic, byte[]? value, int valueOffset, int valueLength, byte[]? key, int keyOffset, int keyLength, int partition, long timestampMs,
        IEnumerable<IHeader>? headers, IntPtr opaque);

    /// <summary>Queues a record; its bytes have been copied when this returns.</summary>
    /// <param name="report">Called once, on the client's thread, unless the record was refused.</param>
    /// <returns>Why it was refused; null: it was not.</returns>
    public Error? Produce(
        TopicPartition destination, byte[]? key, ReadOnlyMemory<byte>? value, IEnumerable<IHeader>? headers, long timestampMs, Action<DeliveryReport<byte[]?, byte[]?>> report)
    {
        var slice = value is not { } bytes ? default : MemoryMarshal.TryGetArray(bytes, out var held) ? held : new ArraySegment<byte>(bytes.ToArray());
        var receiver = GCHandle.Alloc(newReceiver.Invoke([destination.Topic, null, null, report]));
        var isQueued = false;
        try
        {
            var code = send(
                destination.Topic, slice.Array, slice.Offset, slice.Count, key, 0, key?.Length ?? 0, destination.Partition, timestampMs, headers, GCHandle.ToIntPtr(receiver));
            isQueued = code == ErrorCode.NoError;
            return isQueued ? null : new Error(code);
        }
        finally
        {
            if (!isQueued) receiver.Free();
        }
    }
}
