package android.os;

public class Build {
    public static final String MANUFACTURER = stub();
    public static final String MODEL = stub();

    private static String stub() { throw new UnsupportedOperationException(); }

    public static class VERSION {
        public static final String RELEASE = stub();
        public static final int SDK_INT = RELEASE.length();
    }

    public static class VERSION_CODES {
        public static final int Q = 29;
    }
}
