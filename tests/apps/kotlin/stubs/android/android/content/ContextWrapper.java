package android.content;

import android.content.res.AssetManager;
import java.io.File;

public class ContextWrapper extends Context {
    @Override public AssetManager getAssets() { throw new UnsupportedOperationException(); }
    @Override public File getNoBackupFilesDir() { throw new UnsupportedOperationException(); }
    @Override public File getCacheDir() { throw new UnsupportedOperationException(); }
}
