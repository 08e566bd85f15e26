using Google.Protobuf;

namespace Analytics.Actors.Core.Protocol;

/// <summary>Reads messages with the generated code. No bytes make it throw.</summary>
internal static class WireMessages
{
    /// <summary>The message, or null and what is wrong with the bytes.</summary>
    public static T? Read<T>(MessageParser<T> parser, ReadOnlySpan<byte> bytes, out string failure) where T : class, IMessage<T>
    {
        try
        {
            failure = "";
            return parser.ParseFrom(bytes);
        }
        catch (Exception exception) when (IsOfBytes(exception))
        {
            failure = exception.Message;
            return null;
        }
    }

    /// <summary>Merges what the bytes say into a message; false where they are broken.</summary>
    public static bool TryMerge(IMessage message, ReadOnlySpan<byte> bytes)
    {
        try
        {
            message.MergeFrom(bytes);
            return true;
        }
        catch (Exception exception) when (IsOfBytes(exception))
        {
            return false;
        }
    }

    // The library (3.25.1) adds a length to where it stands without a check: one near 2^31 makes it read beyond its buffer.
    private static bool IsOfBytes(Exception exception) => exception is InvalidProtocolBufferException or IndexOutOfRangeException or ArgumentOutOfRangeException;
}
